"""Time as a value that is passed in, so that whatever waits can be tested without waiting."""

from __future__ import annotations

import time
from typing import Protocol

import anyio


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
