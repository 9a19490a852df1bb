"""Branches, pieces of decoding and calls as LangGraph tasks, each named by its path: what they gave is durable.

LangGraph knows a task by its name and by how many were called before it, so all are called in an order that does not
depend on what happens: a piece or a call when its branch comes to it, a block's branches together, by number.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp, GraphInterrupt

from apr_agents.clock import Clock
from apr_agents.integrations.langgraph.durable import Durable
from apr_agents.integrations.langgraph.functions import Bubbled
from apr_agents.integrations.langgraph.saver import graph_config, saver_of
from apr_agents.integrations.langgraph.watched import Watched
from apr_agents.plain import Json
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.spawner import Siblings, TaskSpawner, Work


class _Asking(Bubbled):
    """What a kept call asks of the graph; its task holds that until the branch around it may ask."""

    def __init__(self, bubble: GraphBubbleUp, call: Durable) -> None:
        super().__init__(bubble)
        self.call = call


class Tasks:
    """The spawner and the journal of a run inside a LangGraph node.

    Its mutable state is the names of the pieces that were made here and are not known to be durable.
    """

    def __init__(self, config: RunnableConfig) -> None:
        """`config`: of the node in which the run goes on."""
        self._saver = saver_of(config)
        self._config = graph_config(config)
        self._made: set[str] = set()

    async def keep(self, name: str, work: Callable[[], Awaitable[Json]]) -> Json:
        """See `Journal.keep`."""

        async def asking() -> Json:
            try:
                return await work()
            except Bubbled as bubbled:
                await durable.hold(bubbled.bubble)

        durable = Durable(name, asking)
        await durable.settled()
        if durable.bubble is not None:
            raise _Asking(durable.bubble, durable)
        found = await durable.result()
        if durable.begun:
            self._made.add(name)
        return found

    async def seal(self) -> None:
        """See `Journal.seal`: a task's result is stored behind its back."""
        if isinstance(self._saver, Watched):
            await self._saver.stored(self._config, self._made)
            self._made.clear()

    @asynccontextmanager
    async def open(self, clock: Clock, deadline: float | None) -> AsyncGenerator[Siblings]:
        """See `Spawner.open`."""
        async with TaskSpawner().open(clock, deadline) as tasks:
            siblings = _Siblings(tasks)
            try:
                yield siblings
            finally:
                siblings.release()


class _Siblings:
    """The branches of one block. Those that were kept come first, in the order in which they had ended.

    Its mutable state is who has ended, and what is to be said of it next.
    """

    def __init__(self, siblings: Siblings) -> None:
        self._siblings = siblings
        self._branches: dict[str, _Branch] = {}
        self._new: list[_Branch] = []
        self._ready: deque[tuple[str, Outcome] | None] = deque()
        self._waiting: set[str] = set()
        self._held: dict[str, _Branch] = {}
        self._moment = 0

    def start(self, name: str, work: Work) -> None:
        self._branches[name] = branch = _Branch(self, name, work)
        self._new.append(branch)
        self._waiting.add(name)
        self._siblings.start(name, branch)

    def cancel(self, name: str) -> None:
        self._branches[name].scope.cancel()
        if self._held.pop(name, None) is not None:
            self._ready.append((name, self._branches[name].work.cancelled()))

    def due(self, moment: float) -> None:
        self._siblings.due(moment)

    async def next(self) -> tuple[str, Outcome] | None:
        await self._take_kept()
        while not self._ready:
            if not self._waiting and self._held:
                raise self._stop()
            self._take(await self._siblings.next())
        return self._ready.popleft()

    def _stop(self) -> GraphBubbleUp:
        """All others have ended: now the graph stops here, for a person or for another node. LangGraph collects what
        the branches ask; it is not said once more here."""
        bubbles = [branch.durable.bubble for branch in self._held.values() if branch.durable.bubble is not None]
        for branch in self._held.values():
            branch.durable.let_go()
        self._held = {}
        others = (bubble for bubble in bubbles if not isinstance(bubble, GraphInterrupt))
        return next(others, GraphInterrupt(()))

    def release(self) -> None:
        """The block is left: no branch is held any more."""
        for branch in self._held.values():
            branch.scope.cancel()

    def moment(self) -> int:
        """Now, in nanoseconds of the epoch: later than whatever has ended before, also in another process."""
        self._moment = max(self._moment + 1, time.time_ns())
        return self._moment

    async def _take_kept(self) -> None:
        """Put the branches that were kept before all others. Which these are is known as soon as tasks begin."""
        new, self._new = self._new, []
        for branch in new:
            await branch.durable.known()
        kept = {branch.name for branch in new if not branch.durable.begun}
        while kept & self._waiting:
            self._take(await self._siblings.next())
        if kept:
            self._ready = deque(sorted(self._ready, key=self._ended))

    def _ended(self, ended: tuple[str, Outcome] | None) -> float:
        branch = self._branches[ended[0]] if ended else None
        return branch.ended if branch and not branch.durable.begun else float("inf")

    def _take(self, ended: tuple[str, Outcome] | None) -> None:
        if ended is not None:
            name, _ = ended
            self._waiting.discard(name)
            if self._branches[name].durable.bubble is not None:
                self._held[name] = self._branches[name]
                return
        self._ready.append(ended)


class _Branch:
    """One branch: its task, and what waits for it here. Its mutable state is how it ended."""

    def __init__(self, siblings: _Siblings, name: str, work: Work) -> None:
        self.name = name
        self.work = work
        self.scope = anyio.CancelScope()
        self.ended = 0
        """When it ended, by `_Siblings.moment`."""
        self._siblings = siblings
        self._outcome: Outcome | None = None
        self.durable = Durable(name, self._do)

    @property
    def started(self) -> bool:
        return self.work.started

    async def run(self) -> Outcome:
        await self.durable.settled()
        if self.durable.bubble is not None:
            return self.work.cancelled()
        kept = await self.durable.result()
        self.ended = kept["ended"]
        return self._outcome or _unpack(kept["outcome"])

    def cancelled(self) -> Outcome:
        return self._outcome or self.work.cancelled()

    async def _do(self) -> Json:
        with self.scope:
            try:
                self._outcome = await self.work.run()
            except _Asking as asking:
                await self._hold(asking)
            except Bubbled as bubbled:
                await self.durable.hold(bubbled.bubble)
            except GraphBubbleUp as bubble:  # of a block inside this branch
                await self.durable.hold(bubble)
        self._outcome = self._outcome or self.work.cancelled()
        return {"ended": self._siblings.moment(), "outcome": _pack(self._outcome)}

    async def _hold(self, asking: _Asking) -> None:
        """Hold what a kept call asks until the siblings have ended; where they need no more, it is lost."""
        try:
            await self.durable.hold(asking.bubble)
        except GraphInterrupt as interrupt:
            asking.call.let_go()
            await asking.call.ended()
            raise GraphInterrupt(()) from interrupt  # LangGraph has it from the call
        finally:
            asking.call.abandon()


def _pack(outcome: Outcome) -> Json:
    """Its text is in its segments: it is stored once."""
    return {name: value for name, value in outcome.to_json().items() if name != "text"}


def _unpack(data: Json) -> Outcome:
    return Outcome.from_json({**data, "text": "".join(segment["text"] for segment in data["segments"])})
