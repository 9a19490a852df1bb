"""What the driver itself costs: time and memory a branch, a branch of a long context, and the import of the package."""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable

import anyio

from apr_agents.context import Context, Origin, Segment
from apr_agents.dialects import load_dialect
from apr_agents.engines.base import Request
from apr_agents.engines.scripted import ScriptedEngine
from apr_agents.glue import fork_context
from apr_agents.runner import Budget, Settings, run
from benchmarks.figure import Figure, show, spread

BRANCHES = 1000
CHUNK = 8
"""Tokens that the engine says at once."""
LONG = 100_000
HEAVY = ("xllamacpp", "langgraph", "langchain_core", "litellm", "aiohttp", "httpx", "pydantic", "jinja2", "torch")

DIALECT = load_dialect("threadweaver")
PLAN = "<Parallel>\n<Outlines>\n" + "".join(f"<Outline>{n}: x</Outline>\n" for n in range(1, BRANCHES + 1))
SETTINGS = Settings(DIALECT, budget=Budget(branches=BRANCHES, run_branches=BRANCHES, tokens=10**6))


def main() -> None:
    show([branch_time(), branch_memory(), long_context_memory(), long_context_time(), import_time()])


def engine() -> ScriptedEngine:
    """Says a block of a thousand outlines, two words to each branch, and an end."""
    script = {f"1.{n}": " so</Thread>" for n in range(1, BRANCHES + 1)}
    return ScriptedEngine({**script, "": [f"{PLAN}</Outlines>", "end"]}, DIALECT, chunk_tokens=CHUNK)


def branch_time() -> Figure:
    """CPU time of a run of a thousand branches, less that of the same requests to the bare engine."""
    whole = [cpu_ms(drive) for _ in range(7)]
    bare = [cpu_ms(lambda asked=asked: replay(asked)) for asked in [requests()] * 7]
    each = [(one - statistics.median(bare)) / BRANCHES for one in whole]
    own = statistics.median(bare) / BRANCHES
    told = f"CPU, chunks of {CHUNK} tokens; {spread(each)}; the scripted engine's own {own:.3f} ms is not in it"
    return Figure("driver, time a branch", statistics.median(each), "ms", 0.3, "lower", told)


async def drive() -> list[Request]:
    """One run of a thousand branches; its requests."""
    scripted = engine()
    result = await run(scripted, "Q", SETTINGS)
    assert result.ok
    assert sum(branch.outcome == "done" for branch in result.trace.branches) == BRANCHES
    return scripted.requests


def requests() -> list[Request]:
    return anyio.run(drive)


async def replay(asked: list[Request]) -> None:
    """The same requests, one after the other, without a driver."""
    scripted = engine()
    for request in asked:
        async with scripted.stream(request) as chunks:
            async for _ in chunks:
                pass


def cpu_ms(work: Callable[[], Awaitable[object]]) -> float:
    async def timed() -> float:
        gc.collect()
        start = time.process_time()
        await work()
        return (time.process_time() - start) * 1000

    return anyio.run(timed)


def branch_memory() -> Figure:
    """Peak of a run of a thousand branches, a branch; its few tokens are in it."""
    anyio.run(drive)
    gc.collect()
    tracemalloc.start()
    anyio.run(drive)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    detail = "peak of the run, traced, with the engine's record of its requests"
    return Figure("driver, memory a branch", peak / BRANCHES / 1000, "KB", 20, "lower", detail)


def long_context() -> tuple[ScriptedEngine, Context]:
    text = "word " * (LONG // 2)
    scripted = ScriptedEngine({}, DIALECT)
    return scripted, Context.of(Segment(text, scripted.encode(text, control=False), Origin.client))


def long_context_memory() -> Figure:
    """What a thousand branches of a long context add, a branch."""
    scripted, context = long_context()
    fork_context(context, DIALECT, "1", scripted.encode)
    gc.collect()
    tracemalloc.start()
    forks = [fork_context(context, DIALECT, "1", scripted.encode) for _ in range(BRANCHES)]
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert all(fork.start.parent is context for fork in forks)
    detail = f"of a context of {context.tokens:,} tokens, which would be {context.tokens * 8 // 1000} KB to copy"
    return Figure("driver, memory of a fork", used / BRANCHES / 1000, "KB", 1.0, "lower", detail)


def long_context_time() -> Figure:
    """What a fork of a long context costs, compared with one of a short context."""
    scripted, long = long_context()
    short = Context.of(Segment("word", scripted.encode("word", control=False), Origin.client))
    micros: dict[int, list[float]] = {long.tokens: [], short.tokens: []}
    for _ in range(9):
        for context in (long, short):
            start = time.process_time()
            for _ in range(BRANCHES):
                fork_context(context, DIALECT, "1", scripted.encode)
            micros[context.tokens].append((time.process_time() - start) * 1e6 / BRANCHES)
    ratio = min(micros[long.tokens]) / min(micros[short.tokens])
    detail = f"a fork of {long.tokens:,} tokens over one of 1; {min(micros[long.tokens]):.1f} µs"
    return Figure("driver, time of a long fork", ratio, "times", 1.5, "lower", detail)


def import_time() -> Figure:
    """The package's import in a new process, and that it loads nothing heavy."""
    code = (
        "import sys, time; start = time.perf_counter(); import apr_agents; took = time.perf_counter() - start;"
        f"import json; print(json.dumps([took, [name for name in {HEAVY!r} if name in sys.modules]]))"
    )
    runs = [json.loads(subprocess.check_output([sys.executable, "-c", code])) for _ in range(7)]
    loaded = sorted({name for _, names in runs for name in names})
    assert not loaded, f"import apr_agents loads {loaded}"
    seconds = [took for took, _ in runs]
    return Figure("import apr_agents", statistics.median(seconds), "s", 0.3, "lower", spread(seconds))


if __name__ == "__main__":
    main()
