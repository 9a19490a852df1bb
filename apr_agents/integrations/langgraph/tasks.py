"""Branches and pieces of decoding as LangGraph tasks, each named by its path: what they gave is durable.

LangGraph knows a task by its name and by how many were called before it, so all are called in an order that does not
depend on what happens: a piece of decoding when its walk comes to it, a block's branches together, by number.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
from anyio import to_thread
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp
from langgraph.func import task

from apr_agents.clock import Clock
from apr_agents.errors import AprError
from apr_agents.integrations.langgraph.functions import Bubbled
from apr_agents.integrations.langgraph.saver import durability_of, graph_config, saver_of
from apr_agents.runner.journal import Json
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.spawner import Siblings, TaskSpawner, Work

_PATIENCE = 30.0
"""Seconds in which a checkpointer has stored what it was given."""
_POLL = 0.001


class Durable:
    """One piece of work as a task. Its mutable state is whether it began here, and whether it ended here."""

    def __init__(self, name: str, work: Callable[[], Awaitable[Json]]) -> None:
        self.begun = False
        self._known = anyio.Event()
        self._ended = anyio.Event()

        async def body() -> dict[str, Any]:
            self.begun = True
            self._known.set()
            try:
                return {"name": name, **await work()}
            except Bubbled as bubbled:
                raise bubbled.bubble from None
            finally:
                self._ended.set()

        self._future: asyncio.Future[dict[str, Any]] = cast("Any", task(name=name)(body)())
        self._future.add_done_callback(lambda _: self._known.set())

    async def known(self) -> None:
        """Return when it is known whether it begins here, or is taken from before."""
        await self._known.wait()

    async def result(self) -> Json:
        """What it gave, now or before the run was resumed. When cancelled, it waits for the work's own end."""
        try:
            return await self._future
        except asyncio.CancelledError:
            if self.begun:
                with anyio.CancelScope(shield=True):
                    await self._ended.wait()
            raise


class Tasks:
    """The spawner and the journal of a run inside a LangGraph node.

    Its mutable state is the names of the pieces that were kept.
    """

    def __init__(self, config: RunnableConfig) -> None:
        """`config`: of the node in which the run goes on."""
        self._saver = saver_of(config)
        self._exit = durability_of(config) == "exit"
        self._config = graph_config(config)
        self._kept: set[str] = set()

    async def keep(self, name: str, work: Callable[[], Awaitable[Json]]) -> Json:
        """See `Journal.keep`."""
        found = await Durable(name, work).result()
        self._kept.add(name)
        return found

    async def seal(self) -> None:
        """Read the checkpointer until it has all that was kept: a task's result is stored behind its back."""
        if self._saver is None or self._exit:
            return
        with anyio.move_on_after(_PATIENCE):
            # A worker thread's place is taken, so that a virtual clock stands still meanwhile.
            places = to_thread.current_default_thread_limiter()
            await places.acquire_on_behalf_of(self)
            try:
                while not self._kept <= await self._stored():  # noqa: ASYNC110  # a saver has no event to wait for
                    await anyio.sleep(_POLL)
            finally:
                places.release_on_behalf_of(self)
            return
        raise AprError(f"the checkpointer has not stored the plan within {_PATIENCE:g} s; nothing was forked")

    async def _stored(self) -> set[str]:
        assert self._saver is not None  # noqa: S101  # asked by `seal` only
        found = await self._saver.aget_tuple(self._config)
        values = [value for _, _, value in (found.pending_writes or ())] if found else []
        return {str(cast("dict[str, Any]", value).get("name")) for value in values if isinstance(value, dict)}

    @asynccontextmanager
    async def open(self, clock: Clock, deadline: float | None) -> AsyncGenerator[Siblings]:
        """See `Spawner.open`."""
        async with TaskSpawner().open(clock, deadline) as siblings:
            yield _Siblings(siblings)


class _Siblings:
    """The branches of one block. Those that were kept come first, in the order in which they had ended.

    Its mutable state is who has ended, and what is to be said of it next.
    """

    def __init__(self, siblings: Siblings) -> None:
        self._siblings = siblings
        self._branches: dict[str, _Branch] = {}
        self._ready: deque[tuple[str, Outcome] | None] = deque()
        self._waiting: set[str] = set()
        self._bubbled: dict[str, GraphBubbleUp] = {}
        self._places = 0
        self.known = anyio.Event()
        """Set when it is known which branches were kept."""

    def start(self, name: str, work: Work) -> None:
        self._branches[name] = branch = _Branch(self, name, work)
        self._waiting.add(name)
        self._siblings.start(name, branch)

    def cancel(self, name: str) -> None:
        if self._bubbled.pop(name, None) is not None:
            self._ready.append((name, self._branches[name].work.cancelled()))
        else:
            self._branches[name].scope.cancel()

    async def next(self) -> tuple[str, Outcome] | None:
        if not self.known.is_set():
            await self._take_kept()
        while not self._ready:
            if not self._waiting and self._bubbled:
                # All others have ended: now the graph stops here, for a person or for another node.
                raise next(iter(self._bubbled.values()))
            self._take(await self._siblings.next())
        return self._ready.popleft()

    def place(self) -> int:
        """How many branches have ended before the one that asks."""
        self._places += 1
        return self._places

    async def _take_kept(self) -> None:
        for branch in self._branches.values():
            await branch.durable.known()
        kept = {name for name, branch in self._branches.items() if not branch.durable.begun}
        while kept & self._waiting:
            self._take(await self._siblings.next())
        self._ready = deque(sorted(self._ready, key=self._place))
        self._places = max((branch.place for branch in self._branches.values()), default=0)
        self.known.set()

    def _place(self, ended: tuple[str, Outcome] | None) -> float:
        place = self._branches[ended[0]].place if ended else 0
        return place or float("inf")

    def _take(self, ended: tuple[str, Outcome] | None) -> None:
        if ended is not None:
            name, _ = ended
            self._waiting.discard(name)
            bubble = self._branches[name].bubble
            if bubble is not None:
                self._bubbled[name] = bubble
                return
        self._ready.append(ended)


class _Branch:
    """One branch: its task, and what waits for it here. Its mutable state is how it ended."""

    def __init__(self, siblings: _Siblings, name: str, work: Work) -> None:
        self.work = work
        self.scope = anyio.CancelScope()
        self.place = 0
        """Which branch of its block it was to end, from 1."""
        self.bubble: GraphBubbleUp | None = None
        self._siblings = siblings
        self._outcome: Outcome | None = None
        self.durable = Durable(name, self._do)

    @property
    def started(self) -> bool:
        return self.work.started

    async def run(self) -> Outcome:
        try:
            kept = await self.durable.result()
        except GraphBubbleUp as bubble:  # held, and raised when the other branches have ended
            self.bubble = bubble
            return self.work.cancelled()
        self.place = kept["place"]
        return self._outcome or _unpack(kept["outcome"])

    def cancelled(self) -> Outcome:
        return self._outcome or self.work.cancelled()

    async def _do(self) -> Json:
        with self.scope:
            self._outcome = await self.work.run()
        self._outcome = self._outcome or self.work.cancelled()
        # What was kept has its places already.
        await self._siblings.known.wait()
        return {"place": self._siblings.place(), "outcome": _pack(self._outcome)}


def _pack(outcome: Outcome) -> Json:
    """Its text is in its segments: it is stored once."""
    return {name: value for name, value in outcome.to_json().items() if name != "text"}


def _unpack(data: Json) -> Outcome:
    return Outcome.from_json({**data, "text": "".join(segment["text"] for segment in data["segments"])})
