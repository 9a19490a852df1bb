"""A workflow killed at any point and resumed in a new process, as if nothing had happened."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apr_agents.clock import MonotonicClock
from apr_agents.engines.base import Request
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.integrations.langgraph import workflow_node
from apr_agents.runner.calls import caller
from tests.integrations.langgraph.graphs import config
from tests.integrations.langgraph.lives import Diary, Life, begin, saved
from tests.integrations.langgraph.test_workflow import TOPICS, WORKFLOW, says
from tests.support.scripts import THREADWEAVER


def live(life: Life) -> dict[str, Any] | None:
    """Run the graph, from where it is, in a new process: what it gave, or None when the process was killed."""
    return begin(_run, life).end()


async def _run(life: Life) -> dict[str, Any]:
    diary = Diary(life)

    def script(request: Request) -> str | Reply:
        diary.write(f"asked {request.path}:{request.sampling.seed}")
        return says(request)

    async def note(word: str) -> str:
        found = caller()
        assert found is not None
        diary.write(f"called {found.path}")
        return word + "!"

    async with saved(life.database, diary) as saver:
        graph = workflow_node(
            WORKFLOW, lambda: ScriptedEngine(script, THREADWEAVER, clock=MonotonicClock()), [note], checkpointer=saver
        )
        where = config(life.thread)
        found = await graph.aget_state(where)
        if not found.next and "report" in found.values:  # killed behind its end: to ask again would be another run
            state = found.values
        else:
            state = await graph.ainvoke(None if found.next else {"topics": TOPICS}, where)
    tokens = state["report"]["report"]["tokens"]
    branches = [
        (branch["path"], branch["outcome"], branch["tokens"])
        for fork in state["report"]["report"]["forks"]
        for branch in fork["branches"]
    ]
    return {"answer": state["answer"], "ended": state["report"]["ended"], "branches": branches} | {
        name: tokens[name] for name in ("generated", "critical", "prompt")
    }


def _begun(life: Life) -> list[str]:
    """What began, in order: requests and calls."""
    lines = Path(life.diary).read_text().splitlines()
    return [line for line in lines if line.startswith(("asked", "called"))]


@pytest.fixture(params=["sqlite", "postgres"])
def life(request: pytest.FixtureRequest, tmp_path: Path) -> Life:
    """A life with a database of its own, on either server."""
    database = request.getfixturevalue("postgres") if request.param == "postgres" else str(tmp_path / "saved.db")
    return _other(Life(database, ""), tmp_path)


_NUMBERS = itertools.count()


def _other(life: Life, tmp_path: Path) -> Life:
    """The same on a new thread, with a new diary."""
    number = next(_NUMBERS)
    return replace(life, diary=str(tmp_path / f"diary {number}"), thread=f"workflow {number}")


@pytest.mark.timeout(300)
def test_killed_at_any_point(life: Life, tmp_path: Path) -> None:
    """Between steps, inside them, in the middle of a store: the end is the same, and little is done twice."""
    whole = live(life)
    assert whole is not None
    assert whole["ended"] == "answered"
    begun = _begun(life)
    assert len(set(begun)) == len(begun)
    count = len(Path(life.diary).read_text().splitlines()) - 1  # the first one does not count
    for point in range(2, count, count // (12 if "postgres" not in life.database else 5)):
        other = _other(life, tmp_path)
        assert live(replace(other, kill_at=point)) is None
        assert live(other) == whole, point
        again = _begun(other)
        assert set(again) == set(begun)
        # At most the branches in flight, each from its first step.
        assert len(again) - len(begun) <= 9, point


def test_killed_again_and_again(life: Life, tmp_path: Path) -> None:
    kills = 0
    while (found := live(replace(life, kill_at=30))) is None:
        kills += 1
    assert kills > 1
    assert found == live(_other(life, tmp_path))
