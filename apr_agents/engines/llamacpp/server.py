"""The thread of an open engine: loads the model, runs the scheduler, and is gone when the engine is closed."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

import anyio

from apr_agents.clock import Clock
from apr_agents.engines.llamacpp import bindings
from apr_agents.engines.llamacpp.decoder import Decoder
from apr_agents.engines.llamacpp.handover import Handover
from apr_agents.engines.llamacpp.model import Model
from apr_agents.engines.llamacpp.scheduler import Scheduler

_BYTES_A_THREAD = 16 * 2**20
DEFAULT_CELLS = 32_768
"""The most tokens of cache that are taken when none are asked for."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is to be served."""

    path: Path
    cells: int | None
    """Tokens of cache; None: the model's trained context, at most DEFAULT_CELLS."""
    sequences: int
    threads: int | None
    """None: as many as the model's size is worth, see `threads_for`."""
    batch: int
    exact: bool
    """Attention whose result does not depend on what else is cached."""
    clock: Clock


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready to serve."""

    model: Model
    decoder: Decoder
    scheduler: Scheduler

    def close(self) -> None:
        """Free all of it; the thread must have ended."""
        self.decoder.close()
        self.model.close()


def load(settings: Settings) -> Loaded:
    """Raises EngineUnavailable when the library, the file or the memory for it is not there."""
    library = bindings.load()
    model = Model(library, settings.path)
    try:
        cells = settings.cells or min(model.window or DEFAULT_CELLS, DEFAULT_CELLS)
        decoder = Decoder(
            library,
            model,
            cells=cells,
            sequences=settings.sequences,
            threads=settings.threads or threads_for(settings.path.stat().st_size),
            batch=settings.batch,
            exact=settings.exact,
        )
    except BaseException:  # whatever it is, the model is freed
        model.close()
        raise
    return Loaded(model, decoder, Scheduler(library, model, decoder, settings.sequences, settings.clock))


def threads_for(weights: int, cores: int | None = None) -> int:
    """How many threads decode a model of this many bytes fastest: one for each 16 MB, at least one, one a core at most.

    Threads meet after every matrix, so a small model is slower with two: the shipped one (1.3 MB) five times.
    """
    return max(1, min(cores or physical_cores(), weights // _BYTES_A_THREAD))


def physical_cores() -> int:
    """Cores that this process may use, two hardware threads counted as one where the system says so."""
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    siblings: set[str] = set()
    for cpu in usable:
        listed = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        siblings.add(listed.read_text() if listed.exists() else str(cpu))
    return len(siblings)


class Server:
    """A running thread. `start` waits until the model is loaded, `stop` until the thread is gone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._handover = Handover()
        self._ready, self._ended = anyio.Event(), anyio.Event()
        self._loaded: Loaded | None = None
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"llama.cpp {settings.path.name}", daemon=True)

    async def start(self) -> Loaded:
        """The loaded model. Raises EngineUnavailable; leaves no thread behind when it fails or is cancelled."""
        self._thread.start()
        try:
            await self._ready.wait()
            if self._loaded is None:
                raise self._failure or RuntimeError("the thread neither loaded a model nor said why")
        except BaseException:  # a cancellation, too: no thread stays behind
            await self.stop()
            raise
        return self._loaded

    async def stop(self) -> None:
        """End the thread after the step under way, then free the model."""
        with anyio.CancelScope(shield=True):
            await self._ready.wait()
            if self._loaded is not None:
                self._loaded.scheduler.close()
            await self._ended.wait()
        self._thread.join()
        if self._loaded is not None:
            self._loaded.close()

    def _run(self) -> None:
        try:
            self._loaded = load(self._settings)
        except Exception as error:  # raised by `start`, in the task that waits for it
            self._failure = error
        self._handover.call(self._ready.set)
        if self._loaded is not None:
            self._loaded.scheduler.run(self._handover)
        self._handover.call(self._ended.set)
