"""Time as a value that is passed in, so that whatever waits can be tested without waiting."""

from __future__ import annotations

import time
from typing import Protocol

import anyio
import anyio.lowlevel
from anyio import to_thread

from apr_agents.errors import UsageError

_THREAD_POLL = 0.0005
"""Seconds between two looks at worker threads; the only real time that a virtual clock spends."""


class Clock(Protocol):
    """Seconds since some fixed moment, never backwards."""

    def now(self) -> float: ...

    async def sleep_until(self, moment: float) -> None:
        """Return when `now()` is `moment` or later."""
        ...


class MonotonicClock:
    """The machine's own monotonic clock."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep_until(self, moment: float) -> None:
        await anyio.sleep(max(0.0, moment - self.now()))


class VirtualClock:
    """A clock that stands still while anything can happen, and then jumps to the next moment that is waited for.

    For tests: hours pass in milliseconds, and in the same order each time. Time also stands still while a worker thread
    is at work, so a plain function takes no virtual time; what sleeps by another clock is not seen. It runs on
    asyncio's own event loop only. Its mutable state is the moment and who sleeps.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._sleepers: list[_Sleeper] = []
        self._jumping = False

    def now(self) -> float:
        return self._now

    async def sleep_until(self, moment: float) -> None:
        if moment <= self._now:
            await anyio.lowlevel.checkpoint()
            return
        sleeper = _Sleeper(moment)
        self._sleepers.append(sleeper)
        try:
            while self._now < moment:
                await (sleeper.wait() if self._jumping else self._jump())
        finally:
            self._sleepers.remove(sleeper)
            # Someone else must take over the watch, now that this one leaves.
            for other in self._sleepers[:1]:
                other.wake.set()

    async def _jump(self) -> None:
        """Wait until nothing can happen any more, then go to the first moment that is slept for."""
        self._jumping = True
        try:
            await _quiet()
            self._now = min(sleeper.moment for sleeper in self._sleepers)
        finally:
            self._jumping = False
            for sleeper in self._sleepers:
                if sleeper.moment <= self._now:
                    sleeper.wake.set()


async def _quiet() -> None:
    """Return when no task can go on and no worker thread is at work. Raises UsageError on foreign event loops."""
    import asyncio  # an eighth of the package's import, and loaded where there is a loop

    # No public name says whether a loop has anything left to do; to count idle passes would only be a guess.
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    if ready is None:
        raise UsageError("a VirtualClock needs asyncio's own event loop; use a MonotonicClock on any other")
    threads = to_thread.current_default_thread_limiter()
    await anyio.lowlevel.checkpoint()
    while ready or threads.borrowed_tokens:
        await (anyio.lowlevel.checkpoint() if ready else anyio.sleep(_THREAD_POLL))


class _Sleeper:
    def __init__(self, moment: float) -> None:
        self.moment = moment
        self.wake = anyio.Event()

    async def wait(self) -> None:
        await self.wake.wait()
        self.wake = anyio.Event()
