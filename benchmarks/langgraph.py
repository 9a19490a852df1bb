"""What the LangGraph node costs: a fork with and without a saver, a thousand branches, and beside the bare driver."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import anyio
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from apr_agents import open_engine
from apr_agents.dialects import load_dialect
from apr_agents.engines.base import Engine
from apr_agents.engines.scripted import ScriptedEngine
from apr_agents.integrations.langgraph import reasoning_node
from apr_agents.runner import Budget, Settings, run
from benchmarks.figure import Figure, ratio_of_medians, show, spread

MANY = 1000
FORK = 64
ROUNDS = 7
QUESTIONS = 21
"""A quarter of a second each, and compared to within a tenth."""
QUESTION = "Numbers: 26 45 27 21 Target: 18"
DIALECT = load_dialect("threadweaver")

Work = Callable[[], Awaitable[object]]
Graph = CompiledStateGraph[Any, Any, Any, Any]


def main() -> None:
    show([fork(saved=False), fork(saved=True), *many_branches(), overhead()])


def engine(branches: int) -> ScriptedEngine:
    """Says a block of so many outlines, two words to each branch, and an end."""
    outlines = "".join(f"<Outline>{n}: x</Outline>\n" for n in range(1, branches + 1))
    script = {f"1.{n}": " so</Thread>" for n in range(1, branches + 1)}
    opened = f"<Parallel>\n<Outlines>\n{outlines}</Outlines>"
    return ScriptedEngine({**script, "": [opened, "end"]}, DIALECT, chunk_tokens=8)


def settings(branches: int) -> Settings:
    return Settings(DIALECT, budget=Budget(branches=branches, run_branches=branches, tokens=10**6))


@asynccontextmanager
async def saver(*, saved: bool) -> AsyncGenerator[AsyncSqliteSaver | None]:
    """A saver on a new file, or none."""
    with tempfile.TemporaryDirectory() as folder:
        opened = AsyncSqliteSaver.from_conn_string(str(Path(folder) / "saved.db")) if saved else nullcontext()
        async with opened as found:
            yield found


def graph(source: Engine, settings: Settings, kept: AsyncSqliteSaver | None) -> Graph:
    """A graph around the node."""
    built = StateGraph(MessagesState)
    built.add_node("think", reasoning_node(source, settings))
    built.add_edge(START, "think").add_edge("think", END)
    return built.compile(checkpointer=kept)


async def ask(asked: Graph, question: str = "Q") -> dict[str, Any]:
    """The state that a graph ends with."""
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    given: Any = {"messages": question}
    return await asked.ainvoke(given, config)


def fork(*, saved: bool) -> Figure:
    """CPU of a run of 64 branches through the node, less that of the bare driver, a branch."""

    async def measured() -> list[float]:
        async with saver(saved=saved) as kept:
            return await _in_turns(
                lambda: ask(graph(engine(FORK), settings(FORK), kept)), lambda: run(engine(FORK), "Q", settings(FORK))
            )

    each = [one / FORK for one in anyio.run(measured)]
    name, bound = ("with the SQLite saver", 5) if saved else ("without a saver", 1.5)
    told = f"CPU beyond the bare driver's, {FORK} branches; {spread(each)}"
    return Figure(f"node, a fork {name}, a branch", statistics.median(each), "ms", bound, "lower", told)


async def _in_turns(node: Work, bare: Work) -> list[float]:
    """Milliseconds of CPU by which the first needs more than the second."""
    return [1000 * (await _cpu(node) - await _cpu(bare)) for _ in range(ROUNDS)]


async def _cpu(work: Work) -> float:
    gc.collect()
    start = time.process_time()
    await work()
    return time.process_time() - start


def many_branches() -> list[Figure]:
    """A thousand branches in one block, saved: none lost, and their memory."""

    async def measured() -> tuple[int, int]:
        async with saver(saved=True) as kept:
            await ask(graph(engine(2), settings(2), kept))
            gc.collect()
            tracemalloc.start()
            state = await ask(graph(engine(MANY), settings(MANY), kept))
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        report = state["messages"][-1].response_metadata["report"]
        return len(report["forks"][0]["branches"]), peak

    ended, peak = anyio.run(measured)
    memory = f"tracemalloc's peak over one run of {MANY} branches, the SQLite saver's included"
    return [
        Figure("node, branches of 1,000 that end", ended, "", MANY, "higher"),
        Figure("node, memory a branch", peak / MANY / 1024, "KB", 100, "lower", memory),
    ]


def overhead() -> Figure:
    """A question to the shipped model through the node, over the same through the bare driver."""

    async def measured() -> tuple[list[float], list[float]]:
        known, node, bare = Settings(DIALECT), list[float](), list[float]()
        async with open_engine("embedded") as source:
            asked = graph(source, known, None)
            for turn in range(QUESTIONS + 1):
                took = await _wall(lambda: ask(asked, QUESTION))
                alone = await _wall(lambda: run(source, QUESTION, known))
                if turn:  # the first one evaluates the prompt
                    node.append(took)
                    bare.append(alone)
        return node, bare

    node, bare = anyio.run(measured)
    told = f"wall time, in turns; node {spread(node)}, bare {spread(bare)}"
    name = "node, over the bare driver on the embedded engine"
    return Figure(name, ratio_of_medians(node, bare), "x", 1.1, "lower", told)


async def _wall(work: Work) -> float:
    start = time.perf_counter()
    await work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
