"""The doors of the driver: `run` gives the result of a run, `stream` its progress while it goes on."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import anyio

from apr_agents.accounting.threadweaver import TAGS
from apr_agents.context import Context, ids_of
from apr_agents.dialects import Dialect
from apr_agents.engines.base import Engine, Message
from apr_agents.errors import EngineError
from apr_agents.paths import BranchPath
from apr_agents.prefixes import PrefixIndex
from apr_agents.runner.answer import answer_of
from apr_agents.runner.budget import Ledger
from apr_agents.runner.calls import describe
from apr_agents.runner.driver import go
from apr_agents.runner.journal import Journal
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.progress import Progress
from apr_agents.runner.recorder import Recorder
from apr_agents.runner.settings import Settings
from apr_agents.runner.shared import End, Shared, engine_errors
from apr_agents.runner.spawner import Spawner, TaskSpawner, background
from apr_agents.runner.stopwatch import Stopwatch
from apr_agents.runner.walk import Walk
from apr_agents.trace import Kind, Trace

ANSWERED = "answered"
"""The `ended` of a run that ended as it should."""


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


class LiveRun:
    """A run that goes on. Iterate over it for its progress; `result()` is its state at any time, whole at the end."""

    def __init__(
        self,
        engine: Engine,
        question: str | Sequence[Message],
        settings: Settings,
        spawner: Spawner,
        journal: Journal | None = None,
        run_id: str | None = None,
    ) -> None:
        self._engine = engine
        asked = (Message("user", question),) if isinstance(question, str) else tuple(question)
        self._messages = messages(asked, settings, engine.info.dialects)
        self._settings = settings
        self._send, self._receive = anyio.create_memory_object_stream[Progress](64)
        self._run_id = run_id or secrets.token_hex(8)
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._stopwatch = Stopwatch(engine.clock)
        self._recorder = Recorder("", self._stopwatch)
        self._spawner = spawner
        self._journal = journal
        self._prompt: Context | None = None
        self._walk: Walk | None = None
        self._end: tuple[str, str] | None = None
        self._wall: float | None = None
        self.watched = True
        """Whether anyone reads the progress; set to False, none is sent."""

    def __aiter__(self) -> AsyncIterator[Progress]:
        return self._receive

    async def drive(self) -> None:
        """Run to the end; the door's task calls this, once."""
        with self._send, anyio.CancelScope() as scope:
            try:
                async with background(partial(self._expire, scope)):
                    self._conclude(await self._go())
            finally:
                self._wall = self._recorder.now()

    def close(self) -> None:
        """Nobody reads the progress any more; the door calls this when it is left."""
        self._send.close()
        self._receive.close()

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
        shared = Shared(
            engine=engine,
            settings=settings,
            spawner=self._spawner,
            ledger=Ledger(settings.budget),
            places=anyio.CapacityLimiter(settings.budget.concurrency),
            prefixes=PrefixIndex(),
            run_id=self._run_id,
            watched=lambda: self.watched,
            tell=self._tell,
            journal=self._journal,
        )
        deadline = self._stopwatch.start + settings.budget.seconds
        self._walk = Walk(shared, BranchPath(), self._prompt, self._recorder, settings.budget.tokens, None, deadline)
        return await go(self._walk)

    async def _expire(self, scope: anyio.CancelScope) -> None:
        """End the run when its seconds are used up."""
        await self._stopwatch.sleep_until(self._settings.budget.seconds)
        self._stop("seconds", f"the run's budget of {self._settings.budget.seconds:g} seconds is used up")
        scope.cancel()

    async def _tell(self, progress: Progress) -> None:
        if not self.watched:
            return
        try:
            self._send.send_nowait(progress)
        except anyio.WouldBlock:  # only then, since each wait costs a turn of the event loop
            await self._send.send(progress)

    def _conclude(self, end: End) -> None:
        if end.reason in ("eos", "closed"):
            self._stop(ANSWERED, "")
        else:
            self._stop(end.reason, end.detail)

    def _stop(self, ended: str, detail: str) -> None:
        self._end = self._end or (ended, detail)

    def result(self) -> RunResult:
        """What the run has now. Before its end, and after it was left early, `ended` is `cancelled`."""
        ended, detail = self._end or ("cancelled", "the run was left before its end")
        segments = self._walk.context.since(self._prompt) if self._walk and self._prompt else ()
        text = "".join(segment.text for segment in segments)
        return RunResult(
            answer=answer_of(text, self._settings.dialect),
            text=text,
            ended=ended,
            detail=detail,
            outcomes=tuple(self._walk.outcomes) if self._walk else (),
            trace=self._trace(ended),
        )

    def _trace(self, ended: str) -> Trace:
        records = self._recorder.records()
        response = None
        if self._walk and self._prompt and self._walk.context.segment.ids is not None:
            response = ids_of(self._walk.context.since(self._prompt))
        notes = list(records.notes)
        if self._settings.mode == "adaptive" and not records.blocks:
            notes.append("the model opened no block: the run was sequential")
        return Trace(
            run_id=self._run_id,
            engine=self._engine.info.name,
            dialect=self._settings.dialect.name,
            mode=self._settings.mode,
            started=self._started,
            wall=self._recorder.now() if self._wall is None else self._wall,
            ended=ended,
            spans=records.spans,
            blocks=records.blocks,
            branches=records.branches,
            response=response,
            tags=_published_tags(self._engine, self._settings.dialect),
            notes=tuple(notes),
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
    try:
        async with background(live.drive):
            yield live
    finally:
        live.close()


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
        live.watched = False
        async for _ in live:
            pass
        return live.result()


def messages(question: Sequence[Message], settings: Settings, trained: Sequence[str]) -> tuple[Message, ...]:
    """The question, after what the model must be told: a dialect that it was not trained on, functions to call."""
    if settings.mode == "sequential" and not settings.outlines:
        return tuple(question)
    told = [settings.dialect.teach] if settings.dialect.name not in trained and settings.dialect.teach else []
    told += [describe(settings.functions)] if settings.functions else []
    return (Message("system", "\n\n".join(told)), *question) if told else tuple(question)


def _published_tags(engine: Engine, dialect: Dialect) -> dict[str, int] | None:
    """The ids of the four tags of ThreadWeaver's figures; None unless the dialect has them and each is one token."""
    roles = dialect.tags.roles()
    ids = {tag: engine.encode(tag, control=True) for tag in TAGS if tag in roles}
    single = {tag: one[0] for tag, one in ids.items() if one is not None and len(one) == 1}
    return single if len(single) == len(TAGS) else None
