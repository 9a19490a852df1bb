"""The seconds of one run, which may be resumed: they go on where they were, however long nobody ran it."""

from __future__ import annotations

import anyio

from apr_agents.clock import Clock


class Stopwatch:
    """Counts a run's seconds on the engine's clock; its mutable state is the moment at which the run began there."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.start = clock.now()
        """On the engine's clock: as if the run had gone on since without a break."""
        self._alarm: anyio.CancelScope | None = None

    def now(self) -> float:
        """Seconds from the start of the run."""
        return self.clock.now() - self.start

    def reach(self, seconds: float) -> float:
        """The run had come this far before it was resumed: count on from there. How much that moved its start."""
        moved = max(0.0, seconds - self.now())
        self.start -= moved
        if moved and self._alarm is not None:
            self._alarm.cancel()
        return moved

    async def sleep_until(self, seconds: float) -> None:
        """Return when the run has come this far. One task waits at a time."""
        while self.now() < seconds:
            with anyio.CancelScope() as self._alarm:
                await self.clock.sleep_until(self.start + seconds)
