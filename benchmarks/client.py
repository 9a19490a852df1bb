"""What reading costs: CPU a chunk and memory beside a bare aiohttp reader, and how soon a deadline is kept.

The chunk server and each reader are processes of their own; readers take turns, and ratios are taken within one turn.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys

import anyio

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Request
from apr_agents.engines.sglang import SGLangEngine
from apr_agents.errors import EngineError
from benchmarks.chunks import CHUNKS, chunk_server
from benchmarks.figure import Figure, show, spread
from benchmarks.readers import Read

TURNS, ROUNDS, STREAMS, MANY = 5, 2, 64, 512
COSTS = (
    ("sglang", "sglang", "incremental/generate", 1.5),
    ("sglang, all text in each event", "sglang", "cumulative/generate", 1.5),
    ("litellm, apr-sglang", "litellm apr-sglang", "incremental/generate", None),
    ("litellm, text completions", "litellm text", "completions/completions", None),
    ("LiteLLM alone, text completions", "litellm alone", "completions/completions", None),
)
"""What is told, the reader, what it reads, and the bound over the bare reader of the same."""


def main() -> None:
    """Print each figure as it is there."""
    with chunk_server() as url:
        for name, reader, path, bound in COSTS:
            show([cost(name, reader, f"{url}/{path}", bound)])
        show(many(f"{url}/burst/generate"))
        show(anyio.run(deadlines, url))


def reads(reader: str, url: str, streams: int, rounds: int) -> list[Read]:
    """What a process of its own reads."""
    command = [sys.executable, "-m", "benchmarks.readers", reader, url, str(streams), str(rounds)]
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    output = subprocess.check_output(command, text=True, env=environment)
    found = [Read(**json.loads(line)) for line in output.splitlines() if line.startswith('{"whole"')]
    assert len(found) == rounds, output
    return found


def cost(name: str, reader: str, url: str, bound: float | None) -> Figure:
    """CPU a chunk over that of the bare reader, turn by turn; each process's first round is not counted."""
    ratios: list[float] = []
    micros: list[float] = []
    for _ in range(TURNS if bound else 2):
        ours, theirs = (_micros(reads(one, url, STREAMS, ROUNDS + 1)) for one in (reader, "bare"))
        ratios.append(ours / theirs)
        micros.append(ours)
    detail = f"{spread(ratios)}; {statistics.median(micros):.0f} µs a chunk, {STREAMS} streams, a chunk each 20 ms"
    return Figure(f"client, CPU a chunk: {name}", statistics.median(ratios), "x bare", bound, "lower", detail)


def _micros(found: list[Read]) -> float:
    lost = [one for one in found if one.whole != STREAMS]
    assert not lost, f"{len(lost)} rounds lost a stream"
    return statistics.median(one.cpu for one in found[1:]) / STREAMS / CHUNKS * 1e6


def many(url: str) -> list[Figure]:
    """512 streams at once, each as fast as it comes: none lost, and the peak of memory over the bare reader's."""
    turns = [(reads("sglang", url, MANY, 1)[0], reads("bare", url, MANY, 1)[0]) for _ in range(TURNS)]
    lost = sum(MANY - ours.whole for ours, _ in turns)
    ratios = [ours.peak / theirs.peak for ours, theirs in turns]
    peak = statistics.median(ours.peak for ours, _ in turns) / 1e6
    detail = f"{spread(ratios)}; the whole process, {peak:.0f} MB"
    return [
        Figure(
            "client, streams lost of 512 at once", lost, "", 0, "lower", f"in {TURNS} turns of {CHUNKS} chunks each"
        ),
        Figure("client, memory of 512 streams", statistics.median(ratios), "x bare", 2.0, "lower", detail),
    ]


async def deadlines(url: str) -> list[Figure]:
    """How long after its deadline a request of a server that drips, or says nothing, has ended."""
    late: list[float] = []
    context = Context.of(Segment("", (15, 16, 17), Origin.client))
    for server in ("drip", "silent"):
        async with SGLangEngine(f"{url}/{server}") as engine:
            for turn in range(10):
                deadline = engine.clock.now() + 0.2 + turn * 0.013
                try:
                    async with engine.stream(Request(context, 10_000, deadline=deadline)) as chunks:
                        async for _ in chunks:
                            pass
                except EngineError:
                    late.append((engine.clock.now() - deadline) * 1000)
    assert len(late) == 20, "a stream ended before its deadline"
    return [Figure("client, behind a deadline", max(late), "ms", 100, "lower", f"{spread(late)}; drips, and silence")]


if __name__ == "__main__":
    main()
