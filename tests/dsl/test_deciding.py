"""Conditions and choices, as tables: what holds of which values, and which items are chosen."""

from __future__ import annotations

import json
from typing import Any, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.dsl.checks import CHECKS
from apr_agents.dsl.deciding import holds
from apr_agents.dsl.selecting import chosen
from apr_agents.dsl.steps import Condition, When
from apr_agents.dsl.values import Value
from apr_agents.dsl.yaml import parse_workflow
from apr_agents.errors import WorkflowError

By = Literal["majority", "first"]

VALUES: dict[str, Value] = {
    "n": 3,
    "half": 0.5,
    "text": "so answer: 7",
    "nothing": None,
    "blank": [None, None],
    "list": ["a", None],
    "truth": True,
    "mapping": {"a": {"b": [1, 2]}},
}


def condition(written: object) -> Condition:
    """The condition of a step `when` in which each value's name is known, of no known type."""
    called: list[dict[str, Any]] = [{"call": "first", "arguments": {"items": []}, "as": name} for name in VALUES]
    step = {"when": written, "then": [{"generate": "x"}]}
    (*_, last) = parse_workflow(json.dumps({"name": "a", "steps": [*called, step]}), "f").steps
    assert isinstance(last, When)
    return last.when


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"equals": ["${n}", 3.0]}, True),
        ({"equals": ["${n}", "3"]}, False),
        ({"equals": ["${truth}", 1]}, False),
        ({"equals": ["${mapping.a}", {"b": [1, 2]}]}, True),
        ({"equals": ["${mapping.a.b.1}", 2]}, True),
        ({"equals": ["is ${n}", "is 3"]}, True),
        ({"above": ["${n}", "${half}"]}, True),
        ({"above": ["${n}", 3]}, False),
        ({"below": ["${half}", 1]}, True),
        ({"matches": ["${text}", "answer: [0-9]$"]}, True),
        ({"matches": ["${n}", "4"]}, False),
        ({"check": "contains", "answer": "${text}", "arguments": {"text": "7"}}, True),
        ({"check": "contains", "answer": "${nothing}", "arguments": {"text": "7"}}, False),
        ({"empty": "${nothing}"}, True),
        ({"empty": "${blank}"}, True),
        ({"empty": "${list}"}, False),
        ({"empty": "${n}"}, False),
        ({"not": {"empty": "${n}"}}, True),
        ({"all": [{"equals": [1, 1]}, {"equals": [1, 2]}]}, False),
        ({"any": [{"equals": [1, 1]}, {"equals": [1, 2]}]}, True),
    ],
    ids=json.dumps,
)
def test_whether_a_condition_holds(written: object, *, expected: bool) -> None:
    assert holds(condition(written), VALUES, CHECKS) is expected


@pytest.mark.parametrize("written", [{"above": ["${text}", 1]}, {"below": [1, "${truth}"]}, {"empty": "${mapping.c}"}])
def test_a_value_that_a_condition_does_not_take_is_named(written: object) -> None:
    with pytest.raises(WorkflowError):
        holds(condition(written), VALUES, CHECKS)


items = st.lists(st.sampled_from(["a", "b", " a", "", None, 1, 2.5, [], ["a"]]), max_size=8)


@given(many=items, by=st.sampled_from(get_args(By)), count=st.integers(1, 9), blank=st.booleans())
def test_what_is_chosen_is_there(many: list[Value], by: By, count: int, *, blank: bool) -> None:
    picked = chosen(many, by, [], count, blank=blank)
    assert len(picked) <= count
    assert all(one in many for one in picked)
    assert blank or not any(one in ("", None, []) for one in picked)
    assert picked[:1] == chosen(many, by, [], 1, blank=blank)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.integers(1, 8))
def test_the_best_are_those_with_the_highest_scores(scores: list[int], count: int) -> None:
    places = list(range(len(scores)))
    picked = chosen([str(place) for place in places], "best", scores, count, blank=False)
    assert [scores[int(str(one))] for one in picked] == sorted(scores, reverse=True)[:count]
