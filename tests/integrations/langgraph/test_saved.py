"""What LangGraph's savers store of a run: in graphs of threads and of coroutines, and no more than it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Durability

from apr_agents.dialects import Dialect
from apr_agents.dsl.yaml import parse_workflow
from apr_agents.engines.base import Request
from apr_agents.engines.scripted import Script, ScriptedEngine, Vocabulary
from apr_agents.integrations.langgraph import reasoning_node, workflow_node
from apr_agents.runner import Budget, Settings
from tests.dsl.playing import question_in
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


async def test_the_database_of_a_workflow_grows_with_its_texts_only(tmp_path: Path) -> None:
    """However many steps it has, and whatever names their values have. A map's texts are in it three times: as what was
    decoded, with its ids; as what came of each branch; and in the list of these."""
    long = " ".join(f"word{number}" for number in range(2_000))
    workflow = parse_workflow(LONG, "long.yaml")

    def said(request: Request) -> str:
        return "the end" if question_in(request) == "end" else long

    path = tmp_path / "saved.db"
    async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
        graph = workflow_node(workflow, lambda: _counting(said), checkpointer=saver)
        state = await graph.ainvoke({"subject": "any"}, config())
        assert (state["report"]["ended"], state["answer"]) == ("answered", "the end"), state["report"]["detail"]
        await saver.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size <= 3.5 * (1 + 8 + 12) * len(long)


LONG = """
name: long
inputs: {subject: text}
budget: {tokens: 10000000, seconds: 600000}
steps:
  - generate: ${subject}
    as: first
  - map: 8
    each: number
    steps:
      - generate: "${number}"
    as: all
  - repeat:
      - generate: again
        as: one
    most: 12
    as: last
  - generate: end
"""


def _counting(script: Script) -> ScriptedEngine:
    made = ScriptedEngine(script, THREADWEAVER)
    made.vocabulary = Counted(THREADWEAVER)
    return made


def _graph(script: dict[str, Any], saver: AsyncSqliteSaver) -> Graph:
    settings = Settings(THREADWEAVER, budget=Budget(tokens=10**7))
    return around(reasoning_node(lambda: _counting(by_turn(script)), settings), saver)


class Counted(Vocabulary):
    """Ids as a tokenizer's are, counted from the first one; the scripted engine's own have 48 bits."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._known: dict[str, int] = {}

    def id_of(self, piece: str, *, control: bool) -> int:
        if control and piece in self.tags:
            return self.tags[piece]
        return self._known.setdefault(piece, len(self.tags) + len(self._known))
