"""What a watcher of a run is shown of it."""

from __future__ import annotations

import io

from rich.console import Console

from apr_agents.cli.live import LiveTree, line_of
from apr_agents.events import Outline
from apr_agents.runner.progress import Began, Ended, Forked, Generated, Noted
from apr_agents.trace import Branch


def test_a_retry_is_said_with_its_branch() -> None:
    note = Noted("1.2", "a request is sent again in 2 s: busy")
    assert line_of(note) == "branch 1.2 a request is sent again in 2 s: busy"
    tree, file = LiveTree(), io.StringIO()
    for progress in (Generated("", "so", 1), note):
        tree.show(progress)
    Console(file=file, width=100).print(tree.render())
    assert file.getvalue().rstrip().endswith("branch 1.2 a request is sent again in 2 s: busy")


def lines_of(tree: LiveTree) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=120).print(tree.render())
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_branches_are_a_tree_with_state_tokens_and_seconds() -> None:
    moment = 0.0
    tree = LiveTree(lambda: moment)
    tree.show(Began("", ("steps", 1), "map"))
    tree.show(Forked("", 1, (Outline("1", "first"), Outline("2", "second"))))
    tree.show(Forked("1.1", 1, (Outline("1", "inner"),)))
    tree.show(Generated("1.2", "so it goes", 3))
    moment = 1.5
    failed = Branch("1.1/1.1", "1", "inner", "reason", "failed", joined=False, detail="lost")
    tree.show(Ended(failed, 4, 0.5))
    head, _, first, inner, second = lines_of(tree)
    assert head.split() == ["1.5", "s", "3", "tokens", "steps[1]", "map"]
    assert first.split() == ["▸", "1.1", "0", "1.5", "s", "first"]
    assert inner.split() == ["✗", "1.1/1.1", "0", "0.5", "s", "inner", "failed"]
    assert inner.index("✗") > first.index("▸")
    assert second.split() == ["▸", "1.2", "3", "1.5", "s", "second", "so", "it", "goes"]


def test_a_step_that_begins_is_a_line() -> None:
    assert line_of(Began("1.2", ("steps", 0, "steps", 3), "generate")) == "branch 1.2 steps[0].steps[3]: generate"


def test_running_branches_have_room_before_ended_ones() -> None:
    tree = LiveTree()
    tree.show(Forked("", 1, tuple(Outline(str(number), "x") for number in range(1, 61))))
    for number in range(1, 31):
        tree.show(Ended(Branch(f"1.{number}", str(number), "x", "reason", "done", joined=False), 1, 1.0))
    shown = [line.split()[1] for line in lines_of(tree) if line.lstrip().startswith(("▸", "✓"))]
    assert shown == [f"1.{number}" for number in range(21, 61)]
