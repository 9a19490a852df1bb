"""Choosing: laws over lists of JSON values."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.dsl.builtins.choosing import best, first, majority
from apr_agents.dsl.builtins.lists import flatten, parts, pluck, rotate

ITEMS = st.lists(st.sampled_from(["a", "b", "c", "", None, 1, True, [1]]), max_size=12)
COUNTS = st.integers(1, 5)


def votes(items: Sequence[object], item: object) -> int:
    return [json.dumps(one) for one in items].count(json.dumps(item))


@given(ITEMS, COUNTS)
def test_first_takes_the_earliest_that_are_something(items: list[object], count: int) -> None:
    taken = first(items, count)  # pyright: ignore[reportArgumentType]
    assert taken == [one for one in items if one not in ("", None)][:count]


@given(ITEMS, COUNTS)
def test_a_majority_has_at_least_as_many_votes_as_any_other_and_stands_once(items: list[object], count: int) -> None:
    taken = majority(items, count)  # pyright: ignore[reportArgumentType]
    left = [one for one in items if one not in ("", None) and json.dumps(one) not in map(json.dumps, taken)]
    assert len({json.dumps(one) for one in taken}) == len(taken) <= count
    assert all(votes(items, one) >= votes(items, other) for one in taken for other in left)
    assert not left or len(taken) == count


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (["x", "y", "y"], ["y"]),
        (["x", "y"], ["x"]),
        ([None, None, "y"], ["y"]),
        ([1, True, True], [True]),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}, "z"], [{"a": 1, "b": 2}]),
        ([None, ""], []),
    ],
)
def test_majorities(items: list[object], expected: list[object]) -> None:
    assert majority(items) == expected  # pyright: ignore[reportArgumentType]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(-3, 3)), max_size=10), COUNTS)
def test_best_takes_the_highest_scores_and_never_what_has_none(
    scored: list[tuple[str, int | None]], count: int
) -> None:
    items = [f"{item}{place}" for place, (item, _) in enumerate(scored)]
    scores = {item: score for item, (_, score) in zip(items, scored, strict=True)}
    taken = best(items, list(scores.values()), count)
    values = [scores[str(item)] for item in taken]
    assert None not in values
    assert values == sorted((score for score in scores.values() if score is not None), reverse=True)[:count]


def test_best_needs_a_score_for_each_item() -> None:
    with pytest.raises(ValueError, match="2 items and 1 scores"):
        best(["a", "b"], [1])


@given(st.lists(st.integers(), max_size=20), st.integers(1, 6))
def test_parts_put_together_are_the_list(items: list[int], size: int) -> None:
    cut = parts(items, size)
    assert flatten(cut) == items
    assert all(len(part) == size for part in cut[:-1])


@given(st.lists(st.integers(), max_size=9), st.integers(-20, 20))
def test_rotating_back_gives_the_list(items: list[int], by: int) -> None:
    assert rotate(rotate(items, by), -by) == items


def test_lists_of_branches_may_have_holes() -> None:
    assert flatten([[1], None, 2, [[3]]]) == [1, 2, [3]]
    assert pluck([{"a": 1}, None, {"b": 2}], "a") == [1, None, None]
    with pytest.raises(ValueError, match="size is 0"):
        parts([1], 0)
