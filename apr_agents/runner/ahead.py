"""Progressive join: what is joined so far is evaluated while the slowest branch still decodes.

A branch that ended by itself is joined under every rule, at a place that is known as soon as no branch before it is
missing: by completion at once, by number when all with smaller numbers have ended. So a prefix of the joined context is
final long before the join, and evaluating it early changes no text. Only under fail-fast, and where a truncated branch
ends the run, there may be no synthesis to evaluate for: there nothing is done ahead.

A join waits for a request that is in flight when its last branch ends. Most engines share a prefix only once it is
whole, so a synthesis that does not wait evaluates everything, as if nothing had been done ahead; one that waits starts
later by what the request has left, and finds all of it in the cache: it ends earlier by what the request has run. The
wait has a bound, for a request that hangs: as long as it has run, which is all that could be saved, or `PATIENCE`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from apr_agents.context import Context
from apr_agents.engines.base import EngineInfo, Request
from apr_agents.errors import EngineError
from apr_agents.glue import Joined, join_branch
from apr_agents.runner.growing import Growing, charged, phases_of
from apr_agents.runner.joins import JoinRule
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.shared import engine_errors
from apr_agents.runner.spawner import errands
from apr_agents.runner.walk import Walk
from apr_agents.trace import Edge, Kind

LEAST = 256
"""Tokens for which a request ahead is made: fewer cost the synthesis less than a request of its own costs the branches
that still decode (some 30 ms of a server on a CPU, in which it evaluates 300 to 400 tokens more)."""

PATIENCE = 0.25
"""Seconds that a join waits at least for a request in flight: most take no longer in all."""


def wanted(rule: JoinRule, info: EngineInfo) -> bool:
    """Whether blocks under this rule are evaluated ahead on this engine."""
    return info.warms and not rule.fail_fast and (info.ahead if rule.ahead is None else rule.ahead)


class Prefix:
    """The part of a block's joined context that is final; its mutable state is how far that reaches."""

    def __init__(self, walk: Walk, paths: Sequence[str]) -> None:
        """`paths`: of the block's branches, by number."""
        self._walk = walk
        self._missing = list(reversed(paths)) if walk.shared.settings.join.order == "number" else None
        self._ended: dict[str, tuple[Outcome, Joined]] = {}
        self.context: Context | None = None
        """None: nothing is joined yet."""
        self.new: list[Edge] = []
        """To the branches that came into it since this was emptied last."""

    def add(self, outcome: Outcome, branch: Joined) -> None:
        """A branch has ended."""
        self._ended[outcome.branch.path] = outcome, branch
        while (path := self._next()) is not None:
            self._take(*self._ended.pop(path))

    def _next(self) -> str | None:
        """The path of the branch whose place is behind the prefix, if it has ended."""
        if self._missing is None:
            return next(iter(self._ended), None)
        return self._missing.pop() if self._missing and self._missing[-1] in self._ended else None

    def _take(self, outcome: Outcome, branch: Joined) -> None:
        if outcome.branch.outcome == "cancelled":
            return
        shared = self._walk.shared
        if self.context is None:
            self.context = branch.end
        else:
            self.context = join_branch(self.context, branch, shared.settings.dialect, shared.engine.encode)
        self.new += [Edge(outcome.spans[-1].id, "then")] if outcome.spans else []


class Ahead:
    """Evaluates a block's prefix, in places of the run that nobody else wants.

    Its mutable state is that prefix, and the one request that is in flight for it.
    """

    def __init__(self, walk: Walk, paths: Sequence[str]) -> None:
        """`paths`: of the block's branches, by number."""
        self._walk = walk
        self._prefix = Prefix(walk, paths)
        self.on = wanted(walk.shared.settings.join, walk.shared.engine.info)
        """Whether anything is evaluated ahead, or still is."""
        self._group: TaskGroup | None = None
        self._running: anyio.CancelScope | None = None
        self._since = 0.0
        self._ended: anyio.Event | None = None
        self._waited: float | None = None

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """While branches run: the time in which requests can be made. Leaving it cancels the one in flight."""
        if not self.on:
            yield
            return
        async with errands() as self._group:
            yield

    def add(self, outcome: Outcome, branch: Joined) -> None:
        """A branch has ended."""
        self._prefix.add(outcome, branch)
        # In such a dialect the run ends at this join: there will be no synthesis.
        self.on &= outcome.branch.outcome != "truncated" or self._walk.shared.settings.dialect.truncated != "end"

    def start(self) -> None:
        """Evaluate the prefix, unless that is done already."""
        if self._group is not None and self._running is None and self._is_worth_it():
            self._running, self._ended = anyio.CancelScope(), anyio.Event()
            self._since = self._walk.shared.engine.clock.now()
            self._group.start_soon(self._run, self._running, self._ended)

    async def finish(self) -> None:
        """No branch is left: wait for the request in flight, as long as that can save time."""
        self.on = False
        if self._group is not None and self._running is not None and self._ended is not None:
            self._waited = self._walk.recorder.now()
            now = self._walk.shared.engine.clock.now()
            self._group.start_soon(self._give_up, self._running, now + max(now - self._since, PATIENCE))
            await self._ended.wait()

    def waited(self, after: tuple[Edge, ...]) -> tuple[Edge, ...]:
        """What the join comes after: these, and behind them its wait for a request ahead, if it had to."""
        recorder = self._walk.recorder
        if self._waited is None or recorder.now() <= self._waited:
            return after
        return (recorder.ahead(Kind.wait, self._waited, after),)

    def _is_worth_it(self) -> bool:
        walk, context = self._walk, self._prefix.context
        if not self.on or not self._prefix.new or context is None or context.segment.ids is None:
            return False
        window = walk.shared.engine.info.window
        if walk.allowance < 1 or (window is not None and context.tokens >= window):
            return False
        return context.tokens - walk.shared.prefixes.matched(context) >= LEAST

    async def _run(self, scope: anyio.CancelScope, ended: anyio.Event) -> None:
        """Evaluate the prefix as long as it grows, if there is a place that nobody waits for."""
        places = self._walk.shared.places
        with scope:
            while self._is_worth_it() and self._prefix.context is not None:
                try:
                    places.acquire_nowait()
                except anyio.WouldBlock:
                    break
                try:
                    await self._evaluate(self._prefix.context)
                finally:
                    places.release()
        self._running = None
        ended.set()

    async def _give_up(self, scope: anyio.CancelScope, moment: float) -> None:
        await self._walk.shared.engine.clock.sleep_until(moment)
        scope.cancel()

    async def _evaluate(self, context: Context) -> None:
        """Send one request, book it and record its span; a failure is a note, and the last request of this block."""
        walk = self._walk
        request = Request(context, 0, deadline=walk.deadline, path=walk.path, run_id=walk.shared.run_id, watched=False)
        text = Growing(request, ())
        self._since = walk.shared.engine.clock.now()
        after, self._prefix.new = tuple(self._prefix.new), []
        start, reusable = walk.recorder.now(), walk.reusable(context)
        failure: EngineError | None = None
        outcome = "cancelled"
        try:
            await _read(walk, request, text)
            outcome = "done"
            walk.shared.prefixes.add(context)
        except EngineError as error:
            outcome, failure, self.on = "failed", error, False
        finally:
            tokens = charged(context, text, reusable)
            walk.recorder.ahead(Kind.ahead, start, after, outcome, tokens, phases_of(text))
        if failure is not None:
            await walk.note(f"block {walk.blocks}: nothing more is evaluated ahead: {failure}")


async def _read(walk: Walk, request: Request, text: Growing) -> None:
    with engine_errors("evaluating ahead failed"):
        async with walk.shared.engine.stream(request) as chunks:
            async for chunk in chunks:
                text.add(chunk)
                if text.finish is not None:
                    return
    raise EngineError("the engine's stream ended without a finish")
