"""Spawners that store what branches bring back, and that give it back in place of running them again."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from apr_agents.clock import Clock
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.spawner import Siblings, TaskSpawner, Work


class Record:
    """What a run asked of its spawner, as JSON text; its mutable state is that."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: list[str] = []
        """Names in the order of their ends."""
        self.outcomes: dict[str, str] = {}


class RecordingSpawner:
    """Runs branches as tasks, and stores each outcome as JSON text when it is given to the driver."""

    def __init__(self) -> None:
        self.record = Record()

    @asynccontextmanager
    async def open(self, clock: Clock, deadline: float | None) -> AsyncGenerator[Siblings]:
        async with TaskSpawner().open(clock, deadline) as siblings:
            yield _Recording(siblings, self.record)


class _Recording:
    def __init__(self, siblings: Siblings, record: Record) -> None:
        self._siblings = siblings
        self._record = record

    def start(self, name: str, work: Work) -> None:
        self._record.started.append(name)
        self._siblings.start(name, work)

    def cancel(self, name: str) -> None:
        self._siblings.cancel(name)

    def due(self, moment: float) -> None:
        self._siblings.due(moment)

    async def next(self) -> tuple[str, Outcome] | None:
        ended = await self._siblings.next()
        if ended is not None:
            name, outcome = ended
            self._record.ended.append(name)
            self._record.outcomes[name] = json.dumps(outcome.to_json())
        return ended


class ReplayingSpawner:
    """Gives stored outcomes back in their stored order, and runs what was not stored."""

    def __init__(self, record: Record) -> None:
        self._old = record
        self.record = Record()

    @asynccontextmanager
    async def open(self, clock: Clock, deadline: float | None) -> AsyncGenerator[Siblings]:
        async with TaskSpawner().open(clock, deadline) as siblings:
            yield _Replaying(siblings, self._old, self.record)


class _Replaying(_Recording):
    def __init__(self, siblings: Siblings, old: Record, new: Record) -> None:
        super().__init__(siblings, new)
        self._old = old
        self._stored: deque[str] = deque()

    def start(self, name: str, work: Work) -> None:
        if name in self._old.outcomes:
            self._record.started.append(name)
            self._stored.append(name)
            self._stored = deque(sorted(self._stored, key=self._old.ended.index))
        else:
            super().start(name, work)

    def cancel(self, name: str) -> None:
        if name not in self._old.outcomes:
            super().cancel(name)

    async def next(self) -> tuple[str, Outcome] | None:
        if not self._stored:
            return await super().next()
        name = self._stored.popleft()
        self._record.ended.append(name)
        self._record.outcomes[name] = self._old.outcomes[name]
        return name, Outcome.from_json(json.loads(self._old.outcomes[name]))
