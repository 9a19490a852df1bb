"""Starts, awaits and cancels named branches: the only module in which tasks are born."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from apr_agents.clock import Clock
from apr_agents.runner.outcome import Outcome

_Send = MemoryObjectSendStream[tuple[str, Outcome] | None]
_Receive = MemoryObjectReceiveStream[tuple[str, Outcome] | None]


class Work(Protocol):
    """What one branch does."""

    @property
    def started(self) -> bool:
        """Whether `run` was called here. A branch whose outcome comes from a store was not."""
        ...

    async def run(self) -> Outcome:
        """Do it. A failure is an outcome; only cancellation and faults of this library raise."""
        ...

    def cancelled(self) -> Outcome:
        """The outcome when it was cancelled: what it has, whole if it had ended."""
        ...


class Siblings(Protocol):
    """The branches of one block, by name."""

    def start(self, name: str, work: Work) -> None: ...

    def cancel(self, name: str) -> None: ...

    def due(self, moment: float) -> None:
        """The block's deadline, where it is known only now; said once, and not where `open` was given one."""
        ...

    async def next(self) -> tuple[str, Outcome] | None:
        """The next branch that ended, a cancelled one too; None once when the block's deadline has come."""
        ...


class Spawner(Protocol):
    """Runs the branches of blocks. Names are branch paths; outcomes are plain data, so that both can be stored."""

    def open(self, clock: Clock, deadline: float | None) -> AbstractAsyncContextManager[Siblings]:
        """A block's siblings; leaving it cancels those that still run and waits for their end.

        It may be opened while the block is still being written: its calls start one by one, and what asks for the next
        end comes behind them.
        """
        ...


class TaskSpawner:
    """Branches as tasks of one anyio task group per block."""

    @asynccontextmanager
    async def open(self, clock: Clock, deadline: float | None) -> AsyncGenerator[Siblings]:
        send, receive = anyio.create_memory_object_stream[tuple[str, Outcome] | None](float("inf"))
        with send, receive:
            async with errands() as group:
                tasks = _Tasks(group, clock, send, receive)
                if deadline is not None:
                    tasks.due(deadline)
                yield tasks


class _Tasks:
    """The siblings of one block; its mutable state is their cancel scopes."""

    def __init__(self, group: TaskGroup, clock: Clock, send: _Send, receive: _Receive) -> None:
        self._group = group
        self._clock = clock
        self._send = send
        self._receive = receive
        self._scopes: dict[str, anyio.CancelScope] = {}

    def start(self, name: str, work: Work) -> None:
        self._scopes[name] = anyio.CancelScope()
        self._group.start_soon(self._run, name, work, name=f"branch {name}")

    def cancel(self, name: str) -> None:
        self._scopes[name].cancel()

    def due(self, moment: float) -> None:
        self._group.start_soon(_ring, self._clock, moment, self._send)

    async def next(self) -> tuple[str, Outcome] | None:
        return await self._receive.receive()

    async def _run(self, name: str, work: Work) -> None:
        outcome: Outcome | None = None
        try:
            with self._scopes[name]:
                outcome = await work.run()
        except anyio.get_cancelled_exc_class():
            # What is inside may cancel itself: that is this branch's end, and no other's.
            if anyio.current_effective_deadline() == -math.inf:
                raise
        finally:
            self._send.send_nowait((name, outcome or work.cancelled()))


async def _ring(clock: Clock, moment: float, send: _Send) -> None:
    await clock.sleep_until(moment)
    send.send_nowait(None)


@asynccontextmanager
async def background(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncGenerator[None]:
    """Do this work beside the block; leaving the block cancels it. What either raises comes out as it is."""
    raised: list[BaseException] = []
    async with errands() as group:
        group.start_soon(_keep, work, group, raised)
        yield
    if raised:
        raise raised[0]


@asynccontextmanager
async def errands() -> AsyncGenerator[TaskGroup]:
    """Tasks beside the block; leaving the block cancels them. What the block raises comes out as it is."""
    raised: list[BaseException] = []
    async with anyio.create_task_group() as group:
        try:
            yield group
        except (anyio.get_cancelled_exc_class(), GeneratorExit):
            raise
        except BaseException as error:  # carried out of the group, not inside its own
            raised.append(error)
        group.cancel_scope.cancel()
    if raised:
        raise raised[0]


async def _keep(work: Callable[[], Coroutine[Any, Any, None]], group: TaskGroup, raised: list[BaseException]) -> None:
    try:
        await work()
    except Exception as error:  # carried out of the group as itself, not inside an ExceptionGroup
        raised.append(error)
        group.cancel_scope.cancel()
