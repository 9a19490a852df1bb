"""Branch paths: text and value are each other's inverse, and their order is that of the branches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.paths import BranchPath

paths = st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99)), max_size=4).map(
    lambda steps: BranchPath(tuple(steps))
)


@given(paths)
def test_a_path_is_read_as_it_is_written(path: BranchPath) -> None:
    assert BranchPath.parse(str(path)) == path


@given(paths, st.integers(1, 99), st.integers(1, 99))
def test_a_child_is_one_level_down(path: BranchPath, block: int, branch: int) -> None:
    child = path.child(block, branch)
    assert child.parent == path
    assert child.depth == path.depth + 1
    assert str(child) == f"{path}/{block}.{branch}".lstrip("/")
    assert path < child


@given(paths, paths)
def test_a_path_is_inside_those_above_it(path: BranchPath, other: BranchPath) -> None:
    above = [BranchPath(path.steps[:depth]) for depth in range(path.depth)]
    assert all(path.inside(one) and not one.inside(path) for one in above)
    assert path.inside(other) == (other in above)


def test_paths_are_ordered_by_number_and_not_by_text() -> None:
    written = ["1.10", "1.2", "1.2/3.1", "10.1", "2.1", ""]
    ordered = sorted(map(BranchPath.parse, written))
    assert list(map(str, ordered)) == ["", "1.2", "1.2/3.1", "1.10", "2.1", "10.1"]


def test_the_run_is_its_own_parent() -> None:
    assert BranchPath().parent == BranchPath()
    assert (str(BranchPath()), BranchPath().depth) == ("", 0)


@pytest.mark.parametrize(
    "text", ["1", "1.", ".1", "0.1", "1.0", "01.1", "1.1/", "/1.1", "1.1//1.1", "1.1 ", "a.b", "1.١"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a branch path such as"):
        BranchPath.parse(text)
