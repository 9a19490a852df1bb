"""The doors of the driver: `run` gives the result of a run, `stream` its progress while it goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from apr_agents.context import Context, ids_of
from apr_agents.engines.base import Engine, Message
from apr_agents.errors import EngineError
from apr_agents.paths import BranchPath
from apr_agents.runner.answer import answer_of
from apr_agents.runner.calls import describe
from apr_agents.runner.driver import go
from apr_agents.runner.journal import Journal
from apr_agents.runner.live import ANSWERED, Live
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.settings import Settings
from apr_agents.runner.shared import End, engine_errors
from apr_agents.runner.spawner import Spawner, TaskSpawner
from apr_agents.runner.walk import Walk
from apr_agents.trace import Kind, Trace


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run has when it ends, early or not."""

    answer: str
    """The text behind the last block; all text when there was none."""
    text: str
    """Everything behind the prompt, as joined."""
    ended: str
    """`answered`, or the bound or failure that ended the run."""
    detail: str
    """Why, in a line; empty when it was answered."""
    outcomes: tuple[Outcome, ...]
    """Of all branches of the run's own blocks: those joined, in the order of the joined context, and behind them those
    that were cancelled, with what they had; nested ones are inside."""
    trace: Trace

    @property
    def ok(self) -> bool:
        return self.ended == ANSWERED


class LiveRun(Live):
    """One question while it is answered. `result()` is its state at any time, whole at the end."""

    def __init__(
        self,
        engine: Engine,
        question: str | Sequence[Message],
        settings: Settings,
        spawner: Spawner,
        journal: Journal | None = None,
        run_id: str | None = None,
    ) -> None:
        asked = (Message("user", question),) if isinstance(question, str) else tuple(question)
        self._messages = messages(asked, settings, engine.info.dialects)
        super().__init__(engine, settings, spawner, journal, run_id)
        self._prompt: Context | None = None
        self._walk: Walk | None = None

    async def _go(self) -> End:
        settings, engine = self._settings, self._engine
        self._recorder.open(Kind.client)
        try:
            with engine_errors("the engine could not make the prompt"):
                self._prompt = engine.prompt(self._messages, settings.variables)
        except EngineError as error:
            self._recorder.close("failed")
            return End("failed", str(error))
        self._recorder.close()
        tokens = settings.budget.tokens
        self._walk = Walk(self._shared(), BranchPath(), self._prompt, self._recorder, tokens, None, self._deadline)
        return await go(self._walk)

    def result(self) -> RunResult:
        """What the run has now. Before its end, and after it was left early, `ended` is `cancelled`."""
        ended, detail = self._ending()
        segments = self._walk.context.since(self._prompt) if self._walk and self._prompt else ()
        text = "".join(segment.text for segment in segments)
        known = self._walk is not None and self._walk.context.segment.ids is not None
        return RunResult(
            answer=answer_of(text, self._settings.dialect),
            text=text,
            ended=ended,
            detail=detail,
            outcomes=tuple(self._walk.outcomes) if self._walk else (),
            trace=self._trace(ids_of(segments) if known else None, may_fork=self._settings.mode == "adaptive"),
        )


@asynccontextmanager
async def stream(
    engine: Engine,
    question: str | Sequence[Message],
    settings: Settings,
    *,
    spawner: Spawner | None = None,
    journal: Journal | None = None,
    run_id: str | None = None,
) -> AsyncGenerator[LiveRun]:
    """A run of this question on an open engine, as a block: leaving it early cancels every branch in the engine.

    A `spawner` and a `journal` that keep what they are given make it a run that can be resumed: call this again with
    the same arguments, `run_id` among them.

    What goes wrong in the run is in its result; only faults of this library and of the caller raise. Raises UsageError
    for a function that no outline could call.
    """
    live = LiveRun(engine, question, settings, spawner or TaskSpawner(), journal, run_id)
    async with live.going():
        yield live


async def run(
    engine: Engine,
    question: str | Sequence[Message],
    settings: Settings,
    *,
    spawner: Spawner | None = None,
    journal: Journal | None = None,
    run_id: str | None = None,
) -> RunResult:
    """The result of this question on an open engine. Raises nothing for a run that fails: see `RunResult.ended`."""
    async with stream(engine, question, settings, spawner=spawner, journal=journal, run_id=run_id) as live:
        await live.finish()
        return live.result()


def messages(question: Sequence[Message], settings: Settings, trained: Sequence[str]) -> tuple[Message, ...]:
    """The question, after what the model must be told: a dialect that it was not trained on, functions to call."""
    if settings.mode == "sequential" and not settings.outlines:
        return tuple(question)
    told = [settings.dialect.teach] if settings.dialect.name not in trained and settings.dialect.teach else []
    told += [describe(settings.functions)] if settings.functions else []
    return (Message("system", "\n\n".join(told)), *question) if told else tuple(question)
