"""The workflows side by side: one is played as the benchmark plays it, and the README says what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apr_agents import open_engine
from apr_agents.dsl.workflows import WORKFLOWS
from benchmarks.workflows import Played, Row, figures, line, play, row
from training.problems import Problem

ROOT = Path(__file__).parents[2]
STORED = json.loads((ROOT / "benchmarks" / "results" / "2026-11-21-workflows.json").read_text())
ROWS = [Row(**one) for one in STORED["rows"]]


async def test_a_search_is_played_and_its_answer_judged() -> None:
    async with open_engine("embedded", {"threads": "1"}) as engine:
        found = await play(engine, "tree-of-thoughts-dfs", Problem((26, 45, 27, 21), 18), seed=0)
        missed = await play(engine, "tree-of-thoughts-bfs", Problem((39, 1, 31, 17), 71), seed=0)
    assert (found.solved, missed.solved) == (True, False)
    assert 0 < found.critical <= found.tokens
    assert missed.branches == 9


def test_a_row_is_the_means() -> None:
    played = [Played(True, 100, 40, 3, 5), Played(False, 300, 60, 5, 7)]
    assert row("mcts", 4, played) == Row("mcts", 4, 2, 1, 200, 50, 4.0, 6, 4)
    assert [one.value for one in figures(row("mcts", 4, played))] == [0.5, 50]


def test_the_readme_names_what_was_not_measured() -> None:
    """A workflow without a row of four numbers stands in the sentence below the table."""
    text = (ROOT / "README.md").read_text().partition("Not measured yet:")[2].partition(".\n")[0]
    missing = set(WORKFLOWS) - {one.workflow for one in ROWS if one.numbers == 4}
    assert missing == {name for name in WORKFLOWS if f"`{name}`" in text}


@pytest.mark.parametrize("one", ROWS, ids=lambda one: f"{one.workflow}-{one.numbers}")
def test_the_readme_says_what_was_measured(one: Row) -> None:
    assert line(one) in (ROOT / "README.md").read_text()
