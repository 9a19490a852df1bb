"""Calls that start while the model still writes the outlines of their block: a call needs no prefix."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from apr_agents.glue import fork_context
from apr_agents.runner.branch import CallBranch, Planned
from apr_agents.runner.calls import find_call
from apr_agents.runner.spawner import Siblings, Work
from apr_agents.runner.stretches import Stretch
from apr_agents.runner.walk import Walk
from apr_agents.trace import Block


class Early:
    """The calls of a walk's next block that start before it is whole. Entered around the request that writes the block.

    Its mutable state is the calls that have started: those of the block that is being written, which takes them over
    when it is whole, and those of blocks that never were, which are cancelled.
    """

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._stack = AsyncExitStack()
        self._siblings: Siblings | None = None
        self._opened = 0
        self._works: dict[str, Work] = {}
        self._taken = False
        self._lost: dict[str, Work] = {}

    async def __aenter__(self) -> Self:
        shared = self._walk.shared
        self._siblings = await self._stack.enter_async_context(shared.spawner.open(shared.engine.clock, None))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what no block took over, and book it as waste."""
        try:
            await self._stack.__aexit__(kind, error, trace)
        finally:
            self._give_up()
            for work in self._lost.values():
                outcome = work.cancelled()
                if not outcome.ok:
                    outcome = replace(outcome, branch=replace(outcome.branch, detail="its block was never whole"))
                self._walk.recorder.absorb(outcome)
                self._walk.outcomes.append(outcome)

    @property
    def works(self) -> Mapping[str, Work]:
        """The calls that have started in the block that was opened last, by path."""
        return self._works

    def due(self, stretch: Stretch) -> tuple[Planned, ...]:
        """The calls that may start behind this stretch and have not: within the bounds. They count from now on."""
        self._at(stretch.opened)
        walk, shared = self._walk, self._walk.shared
        found: list[Planned] = []
        for place, outline in enumerate(stretch.outlines, 1):
            path = walk.path.child(walk.blocks + 1, place)
            call = find_call(outline.text, shared.settings.functions)
            if call is None or str(path) in self._works:
                continue
            if shared.ledger.admit_early(place, len(self._works) + len(found)):
                # The context at the fork is not known yet; a result takes no more of it than the header.
                fork = fork_context(walk.context, shared.settings.dialect, outline.number, shared.engine.encode)
                found.append(Planned(path, outline, fork, call))
        return tuple(found)

    def start(self, planned: Planned, after: str) -> None:
        """Start a call, behind the span `after`."""
        assert planned.call is not None  # noqa: S101  # `due` gives calls only
        assert self._siblings is not None  # noqa: S101  # entered
        name = str(planned.path)
        recorder = self._walk.recorder.child(name, after)
        self._works[name] = CallBranch(self._walk.shared, planned, planned.call, recorder)
        self._siblings.start(name, self._works[name])

    def settle(self) -> None:
        """The block that was opened last is whole: calls of any other are given up."""
        self._at(self._walk.planning.opened)

    @asynccontextmanager
    async def hand_over(self, deadline: float | None) -> AsyncGenerator[Siblings]:
        """The block takes its calls over, its join's deadline known now; leaving this is as leaving `Spawner.open`."""
        assert self._siblings is not None  # noqa: S101  # entered
        self._taken = True
        async with self._stack.pop_all():
            if deadline is not None:
                self._siblings.due(deadline)
            yield self._siblings

    def _at(self, opened: int) -> None:
        """The walk's text has opened so many blocks: those before the last one are over."""
        if opened != self._opened:
            self._give_up()
            self._opened = opened

    def _give_up(self) -> None:
        """The block was never whole. It keeps its number, so that no other block has its paths."""
        if not self._works or self._taken:
            return
        walk = self._walk
        walk.blocks += 1
        walk.recorder.block(Block(str(walk.path), walk.blocks, str(walk.shared.settings.join), None))
        assert self._siblings is not None  # noqa: S101  # entered, as calls have started
        for name in self._works:
            self._siblings.cancel(name)
        self._lost |= self._works
        self._works = {}
