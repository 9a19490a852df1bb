"""Time as a value that is passed in, so that whatever waits can be tested without waiting."""

from __future__ import annotations

import time
from typing import Protocol

import anyio
import anyio.lowlevel


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

    For tests: hours pass in milliseconds, and in the same order each time. It sees tasks, not threads: a plain
    function that runs in a worker thread takes no virtual time. Its mutable state is the moment and who sleeps.
    """

    _QUIET = 32
    """Passes of the event loop without a new sleeper after which nothing else can happen at this moment."""

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
            quiet, before = 0, len(self._sleepers)
            while quiet < self._QUIET:
                await anyio.lowlevel.checkpoint()
                now = len(self._sleepers)
                quiet, before = (quiet + 1 if now == before else 0), now
            self._now = min(sleeper.moment for sleeper in self._sleepers)
        finally:
            self._jumping = False
            for sleeper in self._sleepers:
                if sleeper.moment <= self._now:
                    sleeper.wake.set()


class _Sleeper:
    def __init__(self, moment: float) -> None:
        self.moment = moment
        self.wake = anyio.Event()

    async def wait(self) -> None:
        await self.wake.wait()
        self.wake = anyio.Event()
