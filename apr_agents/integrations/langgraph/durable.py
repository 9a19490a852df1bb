"""One piece of work as a LangGraph task, whose result is durable, and which asks nothing of the graph before it may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NoReturn, cast

import anyio
from langgraph.errors import GraphBubbleUp
from langgraph.func import task

from apr_agents.plain import Json


class Durable:
    """One piece of work as a task. Its mutable state is whether it began here, whether it ended, and what it asks."""

    def __init__(self, name: str, work: Callable[[], Awaitable[Json]]) -> None:
        self.begun = False
        self.bubble: GraphBubbleUp | None = None
        """What it asks of the graph, such as to wait for a person."""
        self._let_go = anyio.Event()
        self._known = anyio.Event()
        self._settled = anyio.Event()
        self._ended = anyio.Event()

        async def body() -> dict[str, Any]:
            self.begun = True
            self._known.set()
            try:
                return {"name": name, **await work()}
            finally:
                self._ended.set()

        self._future: asyncio.Future[dict[str, Any]] = cast("Any", task(name=name)(body)())
        self._future.add_done_callback(self._done)

    def _done(self, future: asyncio.Future[dict[str, Any]]) -> None:
        self._known.set()
        self._settled.set()
        if not future.cancelled():
            future.exception()  # seen: nobody awaits a branch that was held

    async def known(self) -> None:
        """Return when it is known whether it begins here, or is taken from before."""
        await self._known.wait()

    async def hold(self, bubble: GraphBubbleUp) -> NoReturn:
        """Keep what its work asks of the graph until it may, and raise it then. Nobody is to wait for it meanwhile."""
        self.bubble = bubble
        self._settled.set()
        await self._let_go.wait()
        raise bubble

    def let_go(self) -> None:
        """It may ask what it holds."""
        self._let_go.set()

    async def ended(self) -> None:
        """Return when its work has ended, and LangGraph knows how."""
        with suppress(GraphBubbleUp):
            await self._future

    def abandon(self) -> None:
        """Nothing that it asks is needed."""
        self._future.cancel()

    async def settled(self) -> None:
        """Return when it has ended, or was settled before. When cancelled, it waits for the work's own end."""
        try:
            await self._settled.wait()
        except asyncio.CancelledError:
            self._future.cancel()
            if self.begun:
                with anyio.CancelScope(shield=True):
                    await self._ended.wait()
            raise

    async def result(self) -> Json:
        """What it gave, now or before the run was resumed."""
        await self.settled()
        return await self._future
