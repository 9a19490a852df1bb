"""Killed at any point and resumed in a new process, a run ends as if nothing had happened, and does nothing twice."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apr_agents.paths import BranchPath
from apr_agents.runner.settings import request_seed
from tests.integrations.langgraph.lives import BORN, Life

_FORKED_BY = {"1": "decode#1", "2": "synthesis#2", "1.4/1": "1.4/decode#1"}
"""Which piece holds the plan of which block."""


_NUMBERS = itertools.count()


@pytest.fixture(params=["sqlite", "postgres"])
def life(request: pytest.FixtureRequest, tmp_path: Path) -> Life:
    """A life with a database of its own, on either server."""
    return _life(request.param, request, tmp_path)


def _life(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Life:
    database = request.getfixturevalue("postgres") if kind == "postgres" else str(tmp_path / "saved.db")
    return Life(database, str(tmp_path / "diary"), thread=f"thread {next(_NUMBERS)}")


def _other(life: Life, tmp_path: Path) -> Life:
    """The same on a new thread, with a new diary."""
    number = next(_NUMBERS)
    return replace(life, diary=str(tmp_path / f"diary {number}"), thread=f"thread {number}")


def _check(lines: list[str], kills: int) -> None:
    """No committed piece or branch begins again, others once more per kill at most; a plan is durable before its
    branches begin, and what wrote it is not asked again then.

    What a process was storing when it was killed may be there: the server had it, and nobody was left to say so.
    """
    stored: set[str] = set()
    storing: set[str] = set()
    perhaps: set[str] = set()
    begun: dict[str, int] = {}
    for line in lines:
        what, _, name = line.partition(" ")
        if what == BORN:
            perhaps |= storing
        elif what == "storing":
            storing.add(name)
        elif what == "stored":
            stored.add(name if name not in _FORKED_BY.values() else f"{name}.1")
        elif what in ("asked", "called"):
            path, _, seed = name.partition(":")
            covering = [path[:end] for end, sign in enumerate(path + "/") if sign == "/"]
            assert not stored & set(covering), line
            assert not {piece for piece in stored if _is_piece(piece, path, seed)}, line
            plan = _FORKED_BY.get(path.rpartition(".")[0]) if path else None
            assert plan is None or {piece for piece in stored | perhaps if piece.startswith(plan)}, line
            if plan is not None and what == "asked":
                stored.add(plan)
            begun[name] = begun.get(name, 0) + 1
    assert max(begun.values()) <= kills + 1


def _is_piece(name: str, path: str, seed: str) -> bool:
    """Whether this is all that was kept of the request of this path and seed."""
    where, _, piece = name.rpartition("/")
    kind, _, turn = piece.partition("#")
    whole = kind in ("decode", "synthesis") and turn.isdecimal() and where == path and bool(seed)
    return whole and str(request_seed(0, BranchPath.parse(path), int(turn))) == seed


def _lines(life: Life) -> list[str]:
    return Path(life.diary).read_text().splitlines()


def _count(life: Life) -> int:
    """How many lines count, of one life."""
    return len(_lines(life)) - 1


@pytest.mark.timeout(300)
def test_killed_at_any_point(life: Life, tmp_path: Path) -> None:
    whole = life.live()
    assert whole is not None
    assert whole.get("text") == "the end", whole
    count = _count(life)
    _check(_lines(life), 0)
    points = range(1, count, 4 if "postgres" not in life.database else 13)
    for point in points:
        other = _other(life, tmp_path)
        assert replace(other, kill_at=point).live() is None
        assert other.live() == whole
        _check(_lines(other), 1)


def test_killed_again_and_again(life: Life) -> None:
    """Each life gets a little further; the diary's keys are the same in all of them."""
    kills = 0
    while (found := replace(life, kill_at=19).live()) is None:
        kills += 1
    assert kills > 2
    assert found["text"] == "the end"
    lines = _lines(life)
    _check(lines, kills)
    keys = {line for line in lines if line.startswith("key")}
    assert len(keys) == len({line for line in lines if line.startswith("called")}) == 3


@pytest.mark.timeout(300)
def test_the_embedded_engine_says_the_same(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    life = replace(_life("sqlite", request, tmp_path), engine="embedded")
    whole = life.live()
    assert whole is not None
    assert whole["ended"] == "answered"
    count = _count(life)
    for point in range(2, count, count // 6):
        other = _other(life, tmp_path)
        assert replace(other, kill_at=point).live() is None
        assert other.live() == whole
        _check(_lines(other), 1)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"mode": "sequential"}, "block 1 of the run was planned as"),
        ({"calls": False}, "resume with the functions"),
    ],
)
def test_another_plan_is_refused(life: Life, changed: dict[str, Any], problem: str) -> None:
    assert replace(life, kill_at=40).live() is None
    refused = replace(life, **changed).live()
    assert refused is not None
    assert refused["raised"] == "PlanChanged"
    assert problem in refused["why"]
    assert (life.live() or {})["text"] == "the end"


def test_one_process_at_a_time(life: Life, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    first = replace(life, held=str(pipe)).begin()
    with pipe.open("w") as held:  # returns when the first one is in its function
        refused = life.live()
        assert refused is not None
        assert refused["raised"] == "AlreadyRunning"
        assert "goes on elsewhere" in refused["why"]
        other = _other(life, tmp_path).live()
        assert other is not None
        assert other["text"] == "the end"
        held.write("!")
    found = first.end()
    assert found is not None
    assert found["text"] == "the end"
    assert not list(tmp_path.glob("*.lock"))


def test_exit_durability_begins_anew(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Which is why it has to be asked for by name."""
    life = replace(_life("sqlite", request, tmp_path), durability="exit")
    assert replace(life, kill_at=8).live() is None
    assert not {line for line in _lines(life) if line.startswith("stored")}
    found = life.live()
    assert found is not None
    assert found["text"] == "the end"
    assert _lines(life).count(_lines(life)[1]) == 2
