"""Runs by script: the blocks of every dialect, engines that keep no rules, and what must hold of every run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from apr_agents.accounting import account
from apr_agents.dialects import Dialect, load_dialect
from apr_agents.engines.base import Chunk, Finish, Request, Usage
from apr_agents.engines.scripted import Reply, Script, ScriptedEngine
from apr_agents.runner import RunResult, Settings, run
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.spawner import Spawner
from apr_agents.trace import Span, Trace

THREADWEAVER = load_dialect("threadweaver")
QUESTION = "What is it?"
"""The scripted engine's prompt of it is the same and a line break."""


def block(*outlines: str, dialect: Dialect = THREADWEAVER, first: int = 1) -> str:
    """The text with which a model opens a block of these outlines, up to the tag that forks it."""
    tags = dialect.tags
    if tags.outlines_close is None:
        return tags.block_open or ""
    opened = [tag for tag in dict.fromkeys((tags.block_open, tags.outlines_open)) if tag]
    named = [f"{tags.outline_open}{number}: {text}{tags.outline_close}" for number, text in enumerate(outlines, first)]
    return "\n".join([*opened, *named, tags.outlines_close])


def closed(text: str, dialect: Dialect = THREADWEAVER) -> str:
    """The text of a branch that ends by itself."""
    return text + dialect.tags.branch_close


def slow(text: str, seconds: float, dialect: Dialect = THREADWEAVER) -> Reply:
    """A branch of one word, thus two tokens, that takes this many virtual seconds and ends by itself."""
    return Reply(closed(text, dialect), token_seconds=seconds / 2)


@dataclass(frozen=True, slots=True)
class Ran:
    """A run by script and its engine."""

    engine: ScriptedEngine
    result: RunResult

    @property
    def asked(self) -> list[tuple[str, str]]:
        """The path and the context's text of each request, in the order of arrival."""
        return [(str(request.path), request.context.text) for request in self.engine.requests]


async def ran(
    script: Script | ScriptedEngine,
    *,
    dialect: Dialect = THREADWEAVER,
    spawner: Spawner | None = None,
    **settings: Any,
) -> Ran:
    """Run this script; whatever must hold of every run is checked."""
    engine = script if isinstance(script, ScriptedEngine) else ScriptedEngine(script, dialect)
    result = await run(engine, QUESTION, Settings(dialect, **settings), spawner=spawner)
    check(result, engine)
    return Ran(engine, result)


def check(result: RunResult, engine: ScriptedEngine) -> None:
    """What holds of every run that is over, however it ended."""
    assert engine.open_requests == 0
    trace = result.trace
    assert Trace.load(trace.dump()) == trace
    seen: set[str] = set()
    for span in trace.spans:
        assert span.id not in seen
        assert all(edge.span in seen for edge in span.after)
        assert 0 <= span.start <= span.end <= trace.wall
        seen.add(span.id)
    paths = [branch.path for branch in trace.branches]
    assert len(paths) == len(set(paths))
    assert {span.path for span in trace.spans} <= {"", *paths}
    assert account(trace).tokens.generated == generated(trace.spans)
    assert result.ok == (result.ended == "answered") == (result.detail == "")
    for outcome in result.outcomes:
        assert Outcome.from_json(outcome.to_json()) == outcome
        assert outcome.text == "".join(segment.text for segment in outcome.segments)


def generated(spans: Sequence[Span]) -> int:
    """Tokens that these spans generated."""
    return sum(span.tokens.generated for span in spans if span.tokens)


def spans_of(trace: Trace, path: str) -> list[tuple[str, float, float, str]]:
    """Kind, start, end and outcome of each span of one branch."""
    return [(span.kind.value, span.start, span.end, span.outcome) for span in trace.spans if span.path == path]


Said = Chunk | BaseException
"""A chunk, or what the engine raises in its place."""


class UnrulyEngine(ScriptedEngine):
    """Says exactly these chunks to each request, against every rule if so told, and then ends its stream."""

    def __init__(self, said: Callable[[Request], Sequence[Said]], dialect: Dialect = THREADWEAVER) -> None:
        super().__init__(lambda _: "", dialect)
        self._said = said

    def chunks(
        self, *texts: str, stop: str | None = None, reason: Literal["stop", "length"] = "stop", end: str = ""
    ) -> list[Said]:
        """These texts as chunks, and then `end` with a finish by this stop."""
        made: list[Said] = [Chunk(text, self.encode(text, control=True)) for text in texts]
        last = self.encode(end, control=True)
        count = sum(len(chunk.ids or ()) for chunk in made if isinstance(chunk, Chunk)) + len(last)
        return [*made, Chunk(end, last, Finish(reason, stop, Usage(1, 0, count)))]

    def _chunks(self, request: Request, reply: Reply) -> AsyncGenerator[Chunk]:
        return _say(self._said(request))


async def _say(said: Sequence[Said]) -> AsyncGenerator[Chunk]:
    for one in said:
        if isinstance(one, BaseException):
            raise one
        yield one
