"""What the driver itself costs a chunk, on every engine: the same script through each, its own CPU measured from inside.

An engine is wrapped so that the driver's thread is timed from each chunk that it is handed to its asking for the next.
In between it does nothing but its own work: parsing, bounds, the context. Differences between whole runs would measure
the engines' noise instead.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio

from apr_agents.clock import Clock
from apr_agents.context import Context
from apr_agents.engines.base import Chunk, Engine, EngineInfo, Message, Request
from apr_agents.runner import run
from benchmarks.figure import Figure, show, spread
from benchmarks.forkjoin import settings
from benchmarks.script import Prompter, write
from benchmarks.speakers import speaker

BRANCHES, ROUNDS = 8, 5


class MeteredEngine:
    """An open engine; its mutable state is the nanoseconds that its user took for each chunk."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.taken: list[int] = []

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    @property
    def clock(self) -> Clock:
        return self._engine.clock

    def encode(self, text: str, *, control: bool) -> tuple[int, ...] | None:
        return self._engine.encode(text, control=control)

    def prompt(self, messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
        return self._engine.prompt(messages, variables)

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: Request) -> AsyncGenerator[AsyncIterator[Chunk]]:
        async with self._engine.stream(request) as chunks:
            metered = self._metered(chunks)
            try:
                yield metered
            finally:
                await metered.aclose()

    async def _metered(self, chunks: AsyncIterator[Chunk]) -> AsyncGenerator[Chunk]:
        async for chunk in chunks:
            before = time.thread_time_ns()
            yield chunk
            self.taken.append(time.thread_time_ns() - before)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The engine that it asks is closed by whoever opened it."""


async def micros(spec: str, processor: str | None, number: int) -> float:
    """Microseconds of the driver's own CPU for a chunk: the median over the chunks of one run."""
    prompter = Prompter()
    async with speaker(spec, prompter, processor) as engine:
        script = write(BRANCHES, number, prompt=5000 + number)
        prompter.take(script, engine.encode)
        metered = MeteredEngine(engine)
        gc.collect()
        result = await run(metered, script.question, settings(script, prompter.longest, sequential=False))
        assert result.ok, result.detail
    return statistics.median(metered.taken) / 1000


async def measure(specs: Sequence[str], processor: str | None) -> list[Figure]:
    """The engines take turns; each has the median of its turns."""
    turns = [{spec: await micros(spec, processor, number) for spec in specs} for number in range(ROUNDS)]
    by_engine = {spec: [turn[spec] for turn in turns] for spec in specs}
    medians = {spec: statistics.median(values) for spec, values in by_engine.items()}
    middle = statistics.median(medians.values())
    furthest = max(abs(value / middle - 1) for value in medians.values())
    told = "; ".join(f"{spec.partition(':')[0]}: {spread(values)}" for spec, values in by_engine.items())
    name = "driver, CPU a chunk: furthest engine from the middle one"
    return [Figure(name, furthest, "", 0.1, "lower", f"µs, {told}")]


def main() -> None:
    """Print the figure."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--engines", nargs="+", default=["scripted", "embedded"])
    arguments.add_argument("--processor", type=Path)
    options = arguments.parse_args()
    processor = options.processor.read_text() if options.processor else None
    show(anyio.run(measure, options.engines, processor))


if __name__ == "__main__":
    main()
