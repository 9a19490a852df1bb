"""What the walks of one run have in common, and why a walk ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Literal

import anyio

from apr_agents.engines.base import Engine
from apr_agents.errors import EngineError
from apr_agents.prefixes import PrefixIndex
from apr_agents.runner.budget import Ledger
from apr_agents.runner.journal import Journal
from apr_agents.runner.progress import Progress
from apr_agents.runner.recorder import Recorder
from apr_agents.runner.settings import Settings
from apr_agents.runner.spawner import Spawner
from apr_agents.trace import Kind


@dataclass(frozen=True, slots=True)
class Shared:
    """What all walks of one run have in common."""

    engine: Engine
    settings: Settings
    spawner: Spawner
    ledger: Ledger
    places: anyio.CapacityLimiter
    """The run's concurrent places, one for each request or call in flight."""
    prefixes: PrefixIndex
    run_id: str
    watched: Callable[[], bool]
    """Whether anyone reads the progress."""
    tell: Callable[[Progress], Awaitable[None]]
    """Sends progress up the run's one stream."""
    journal: Journal | None = None
    """Where decoding is kept, so that the run can be resumed; None: nowhere."""

    async def seal(self) -> None:
        """Return when all that was kept so far is durable: what is planned is kept before it starts."""
        if self.journal is not None:
            await self.journal.seal()


@dataclass(frozen=True, slots=True)
class End:
    """Why a walk ended."""

    reason: Literal[
        "closed", "eos", "max_tokens", "tokens", "run_branches", "context", "truncated", "branch_failed", "failed"
    ]
    """`closed`: at the branch's closing tag; `eos`: by the model; the others name the bound or the failure."""
    detail: str = ""


@contextmanager
def engine_errors(what: str) -> Generator[None]:
    """The boundary to engines: whatever one raises is an EngineError."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:  # a foreign engine may raise anything
        raise EngineError(f"{what}: {type(error).__name__}: {error}") from error


@asynccontextmanager
async def place(shared: Shared, recorder: Recorder) -> AsyncGenerator[None]:
    """One of the run's concurrent places; waiting for it is a span of its own."""
    if shared.places.available_tokens < 1:
        recorder.open(Kind.queue)
    try:
        await shared.places.acquire()
    except BaseException:  # a cancellation, too: no span stays open
        recorder.close("cancelled")
        raise
    recorder.close()
    try:
        yield
    finally:
        shared.places.release()
