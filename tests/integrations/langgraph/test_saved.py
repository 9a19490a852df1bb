"""What LangGraph's savers store of a run: in graphs of threads and of coroutines, and no more than it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Durability

from apr_agents.dialects import Dialect
from apr_agents.engines.scripted import ScriptedEngine, Vocabulary
from apr_agents.integrations.langgraph import reasoning_node
from apr_agents.runner import Budget, Settings
from tests.integrations.langgraph.graphs import ASKED, Graph, answer, around, by_turn, config, node
from tests.support.scripts import THREADWEAVER, block, closed


def test_a_graph_of_threads_is_saved(tmp_path: Path) -> None:
    with SqliteSaver.from_conn_string(str(tmp_path / "saved.db")) as saver:
        graph = around(node(), saver)
        assert answer(graph.invoke(ASKED, config())).text == "the end"
        names: list[str] = [
            value["name"]
            for one in saver.list({"configurable": {"thread_id": "1"}})
            for _, _, value in one.pending_writes or ()
            if isinstance(value, dict) and "name" in value
        ]
        assert {"1.1", "1.2", "1.3"} < set(names)
        assert len(names) == len(set(names))
    assert not list(tmp_path.glob("*.lock"))


def test_a_database_in_memory_needs_no_fence() -> None:
    with SqliteSaver.from_conn_string(":memory:") as saver:
        assert answer(around(node(), saver).invoke(ASKED, config())).text == "the end"


@pytest.mark.parametrize("durability", ["async", "sync"])
async def test_the_database_is_no_larger_than_three_times_the_text(tmp_path: Path, durability: Durability) -> None:
    """No step has a copy of what the steps before it wrote."""
    long = " ".join(f"word{number}" for number in range(2_000))
    script: dict[str, Any] = {
        "": [block(*"abcdefgh"), f"{long} {block(*'ijklmnop')}", "the end"],
        **{f"{number}.{place}": closed(f" {long}") for number in (1, 2) for place in range(1, 9)},
    }
    path = tmp_path / "saved.db"
    async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
        graph = _graph(script, saver)
        message = answer(await graph.ainvoke(ASKED, config(), durability=durability))
        assert message.text == "the end"
        await saver.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size <= 3 * 17 * len(long)


def _graph(script: dict[str, Any], saver: AsyncSqliteSaver) -> Graph:
    def engine() -> ScriptedEngine:
        made = ScriptedEngine(by_turn(script), THREADWEAVER)
        made.vocabulary = Counted(THREADWEAVER)
        return made

    return around(reasoning_node(engine, Settings(THREADWEAVER, budget=Budget(tokens=10**7))), saver)


class Counted(Vocabulary):
    """Ids as a tokenizer's are, counted from the first one; the scripted engine's own have 48 bits."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._known: dict[str, int] = {}

    def id_of(self, piece: str, *, control: bool) -> int:
        if control and piece in self.tags:
            return self.tags[piece]
        return self._known.setdefault(piece, len(self.tags) + len(self._known))
