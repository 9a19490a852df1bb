"""A run while it goes on, whatever it does: its clock, its bounds, its progress and its trace."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import anyio

from apr_agents.accounting.threadweaver import TAGS
from apr_agents.dialects import Dialect
from apr_agents.engines.base import Engine
from apr_agents.prefixes import PrefixIndex
from apr_agents.runner.budget import Ledger
from apr_agents.runner.journal import Journal
from apr_agents.runner.progress import Progress
from apr_agents.runner.recorder import Recorder
from apr_agents.runner.settings import Settings
from apr_agents.runner.shared import End, Shared
from apr_agents.runner.spawner import Spawner, background
from apr_agents.runner.stopwatch import Stopwatch
from apr_agents.trace import Trace

ANSWERED = "answered"
"""The `ended` of a run that ended as it should."""


class Live(ABC):
    """A run that goes on. Iterate over it for its progress."""

    def __init__(
        self, engine: Engine, settings: Settings, spawner: Spawner, journal: Journal | None, run_id: str | None
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._send, self._receive = anyio.create_memory_object_stream[Progress](64)
        self._run_id = run_id or secrets.token_hex(8)
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._stopwatch = Stopwatch(engine.clock)
        self._recorder = Recorder("", self._stopwatch)
        self._spawner = spawner
        self._journal = journal
        self._end: tuple[str, str] | None = None
        self._wall: float | None = None
        self.watched = True
        """Whether anyone reads the progress; set to False, none is sent."""

    def __aiter__(self) -> AsyncIterator[Progress]:
        return self._receive

    @asynccontextmanager
    async def going(self) -> AsyncGenerator[None]:
        """Let it go on beside the block, once; leaving the block early cancels it."""
        with self._send, self._receive:
            async with background(self._drive):
                yield

    async def finish(self) -> None:
        """Return when the run has ended; nobody reads its progress then."""
        self.watched = False
        async for _ in self:
            pass

    async def _drive(self) -> None:
        with self._send, anyio.CancelScope() as scope:
            try:
                async with background(partial(self._expire, scope)):
                    self._conclude(await self._go())
            finally:
                self._wall = self._recorder.now()

    @abstractmethod
    async def _go(self) -> End:
        """Do what the run is to do, and say why it ended."""

    @property
    def _deadline(self) -> float:
        """When the run's seconds are used up, on the engine's clock."""
        return self._stopwatch.start + self._settings.budget.seconds

    def _shared(self) -> Shared:
        """What the walks of this run have in common, with nothing used yet."""
        return Shared(
            engine=self._engine,
            settings=self._settings,
            spawner=self._spawner,
            ledger=Ledger(self._settings.budget),
            places=anyio.CapacityLimiter(self._settings.budget.concurrency),
            prefixes=PrefixIndex(),
            run_id=self._run_id,
            watched=lambda: self.watched,
            tell=self._tell,
            journal=self._journal,
        )

    async def _expire(self, scope: anyio.CancelScope) -> None:
        """End the run when its seconds are used up."""
        await self._stopwatch.sleep_until(self._settings.budget.seconds)
        self._stop("seconds", f"the run's budget of {self._settings.budget.seconds:g} seconds is used up")
        scope.cancel()

    async def _tell(self, progress: Progress) -> None:
        if not self.watched:
            return
        try:
            self._send.send_nowait(progress)
        except anyio.WouldBlock:  # only then, since each wait costs a turn of the event loop
            await self._send.send(progress)

    def _conclude(self, end: End) -> None:
        if end.reason in ("eos", "closed"):
            self._stop(ANSWERED, "")
        else:
            self._stop(end.reason, end.detail)

    def _stop(self, ended: str, detail: str) -> None:
        self._end = self._end or (ended, detail)

    def _ending(self) -> tuple[str, str]:
        """Why the run ended, and the detail. Before its end, and after it was left early, it is `cancelled`."""
        return self._end or ("cancelled", "the run was left before its end")

    def _trace(self, response: tuple[int, ...] | None, *, may_fork: bool) -> Trace:
        """What is recorded so far. `response`: the ids of everything behind the prompt; `may_fork`: whether a model
        was free to open a block."""
        records = self._recorder.records()
        notes = list(records.notes)
        if may_fork and not records.blocks:
            notes.append("the model opened no block: the run was sequential")
        return Trace(
            run_id=self._run_id,
            engine=self._engine.info.name,
            dialect=self._settings.dialect.name,
            mode=self._settings.mode,
            started=self._started,
            wall=self._recorder.now() if self._wall is None else self._wall,
            ended=self._ending()[0],
            spans=records.spans,
            blocks=records.blocks,
            branches=records.branches,
            response=response,
            tags=_published_tags(self._engine, self._settings.dialect),
            notes=tuple(notes),
        )


def _published_tags(engine: Engine, dialect: Dialect) -> dict[str, int] | None:
    """The ids of the four tags of ThreadWeaver's figures; None unless the dialect has them and each is one token."""
    roles = dialect.tags.roles()
    ids = {tag: engine.encode(tag, control=True) for tag in TAGS if tag in roles}
    single = {tag: one[0] for tag, one in ids.items() if one is not None and len(one) == 1}
    return single if len(single) == len(TAGS) else None
