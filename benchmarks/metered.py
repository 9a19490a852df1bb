"""What the driver itself costs a chunk: the same script through every engine, the driver's CPU measured from inside.

An engine is wrapped so that the driver's thread is timed from each chunk that it is handed to its asking for the next.
In between it does nothing but its own work: parsing, bounds, the context. What each engine said is then said again from
memory, engine by engine in turns: in place, the same work takes longer the more its engine does between two chunks,
since that empties the processor's caches; from memory only the chunks differ.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio

from apr_agents.engines.base import Chunk, Engine, Request
from apr_agents.runner import Settings, run
from benchmarks.figure import Figure, show, spread
from benchmarks.forkjoin import settings
from benchmarks.script import Prompter, Script, write
from benchmarks.server import Served, serving
from benchmarks.speakers import speaker
from tests.support.relay import Relay

BRANCHES, ROUNDS, TURNS = 8, 9, 3

Said = dict[str, list[list[Chunk]]]
"""By branch path and turn, the chunks of each request."""


class MeteredEngine(Relay):
    """An open engine, or what it said before.

    Its mutable state is what it has said, by path and turn, and the nanoseconds that its user took for each chunk.
    """

    def __init__(self, engine: Engine, said: Said | None = None) -> None:
        """`said`: in place of asking the engine."""
        super().__init__(engine)
        self._again = said
        self.said: Said = defaultdict(list)
        self.taken: list[int] = []

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[AsyncIterator[Chunk]]:
        turns = self.said[str(request.path)]
        turns.append([])
        if self._again is not None:
            yield self._metered(_from_memory(self._again[str(request.path)][len(turns) - 1]), turns[-1])
            return
        # A server's engine streams only where someone watches.
        async with self._engine.stream(replace(request, watched=True)) as chunks:
            yield self._metered(chunks, turns[-1])

    async def _metered(self, chunks: AsyncIterator[Chunk], said: list[Chunk]) -> AsyncGenerator[Chunk]:
        async for chunk in chunks:
            said.append(chunk)
            before = time.thread_time_ns()
            yield chunk
            self.taken.append(time.thread_time_ns() - before)


async def _from_memory(chunks: Sequence[Chunk]) -> AsyncGenerator[Chunk]:
    for chunk in chunks:
        yield chunk


async def play(engine: Engine, script: Script, wanted: Settings, said: Said | None = None) -> MeteredEngine:
    """One run of this script, or of what was said when it ran before."""
    metered = MeteredEngine(engine, said)
    gc.collect()
    result = await run(metered, script.question, wanted)
    assert result.ok, result.detail
    assert result.text == script.joined
    return metered


async def micros(served: Served) -> tuple[float, list[float]]:
    """Microseconds of the driver's own CPU, the median over a run's chunks: in place, and from memory by turns."""
    prompter, script = Prompter(), write(BRANCHES, 1, prompt=5000)
    async with speaker(served, prompter) as engine:
        prompter.take(script, engine.encode)
        wanted = settings(script, prompter.longest, sequential=False)
        placed = await play(engine, script, wanted)
        again = [await play(engine, script, wanted, placed.said) for _ in range(ROUNDS)]
    return statistics.median(placed.taken) / 1000, [statistics.median(one.taken) / 1000 for one in again]


async def measure(engines: Sequence[Served]) -> list[Figure]:
    """The engines take turns; each has the least of its turns, which is the one disturbed least."""
    turns = [{engine.name: await micros(engine) for engine in engines} for _ in range(TURNS)]
    memory = {name: [value for turn in turns for value in turn[name][1]] for name in turns[0]}
    place = {name: [turn[name][0] for turn in turns] for name in turns[0]}
    least = [min(values) for values in memory.values()]
    middle = statistics.median(least)
    name = "driver, CPU a chunk: furthest engine from the middle one"
    return [
        Figure(name, max(abs(value / middle - 1) for value in least), "", 0.1, "lower", _told(memory)),
        Figure("driver, CPU a chunk in place", max(map(statistics.median, place.values())), "µs", detail=_told(place)),
    ]


def _told(by_engine: Mapping[str, Sequence[float]]) -> str:
    return "µs, " + "; ".join(f"{name}: {spread(values)}" for name, values in by_engine.items())


def main() -> None:
    """Print the figure."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--engines", nargs="+", default=["scripted", "embedded"])
    arguments.add_argument("--processor", type=Path)
    options = arguments.parse_args()
    with ExitStack() as opened:
        engines = [opened.enter_context(serving(spec, options.processor)) for spec in options.engines]
        show(anyio.run(measure, engines))


if __name__ == "__main__":
    main()
