"""Values of inputs, from a command line and from Python: accepted within their bounds, else refused by name."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.dsl.inputs import Input, Value, bind_inputs, read_inputs
from apr_agents.dsl.values import as_text
from apr_agents.errors import WorkflowError

COUNTDOWN = {
    "numbers": Input("integers", length=(3, 4), min=1, max=50),
    "target": Input("integer", min=1, max=100),
}
KINDS = {
    "integer": Input("integer", min=-5, max=5),
    "integers": Input("integers", length=2),
    "number": Input("number", min=0, max=1),
    "text": Input("text", max_length=5),
}


def test_the_values_of_the_example() -> None:
    values = read_inputs(COUNTDOWN, ["numbers=26 45 27 21", "target=18"])
    assert values == {"numbers": (26, 45, 27, 21), "target": 18}
    assert values == bind_inputs(COUNTDOWN, {"numbers": [26, 45, 27, 21], "target": 18})


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "5", 5),
        ("integer", " -5 ", -5),
        ("integers", "26 45", (26, 45)),
        ("integers", "\t26\n 45 ", (26, 45)),
        ("integers", "[26, 45]", (26, 45)),
        ("number", "1", 1),
        ("number", "0.5", 0.5),
        ("number", "5e-1", 0.5),
        ("text", "a=b", "a=b"),
        ("text", "", ""),
        ("text", " 5 ", " 5 "),
    ],
)
def test_a_text_that_is_a_value(kind: str, text: str, value: Value) -> None:
    found = read_inputs({"x": KINDS[kind]}, [f"x={text}"])["x"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("integer", "6", "an integer from -5 to 5"),
        ("integer", "five", "an integer from -5 to 5"),
        ("integer", "1.0", "an integer from -5 to 5"),
        ("integer", "", "an integer from -5 to 5"),
        ("integer", "٥", "an integer from -5 to 5"),
        ("integer", "0x5", "an integer from -5 to 5"),
        ("integers", "26", "2 integers"),
        ("integers", "26 45 27", "2 integers"),
        ("integers", "26, 45", "2 integers"),
        ("integers", "26 45.0", "2 integers"),
        ("integers", "[26, true]", "2 integers"),
        ("integers", "[26, 45", "2 integers"),
        ("integers", "[26, 4.5]", "2 integers"),
        ("integers", "[" * 100_000, "2 integers"),
        ("integers", "1 " * 5000, "2 integers"),
        ("integers", "9" * 19 + " 1", "2 integers"),
        ("number", "2", "a number from 0 to 1"),
        ("number", "nan", "a number from 0 to 1"),
        ("number", "1e999", "a number from 0 to 1"),
        ("number", "-0.1", "a number from 0 to 1"),
        ("text", "abcdef", "a printable text of at most 5 characters"),
        ("text", "a\0b", "a printable text of at most 5 characters"),
        ("text", "\udcff", "a printable text of at most 5 characters"),
    ],
)
def test_a_text_that_is_no_value(kind: str, text: str, expected: str) -> None:
    with pytest.raises(WorkflowError) as caught:
        read_inputs({"x": KINDS[kind]}, [f"x={text}"])
    (problem,) = caught.value.problems
    assert re.fullmatch(rf"input x: is .{{1,70}}; expected {expected}", problem)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "5"),
        ("integer", True),
        ("integer", 5.0),
        ("integer", None),
        ("integers", "26 45"),
        ("integers", (26, 4.5)),
        ("integers", {26: 45}),
        ("number", "0.5"),
        ("number", float("nan")),
        ("number", True),
        ("text", 5),
        ("text", b"abc"),
    ],
)
def test_objects_are_not_converted(kind: str, value: object) -> None:
    with pytest.raises(WorkflowError, match="input x: is "):
        bind_inputs({"x": KINDS[kind]}, {"x": value})


def test_all_problems_at_once_with_the_names_that_there_are() -> None:
    with pytest.raises(WorkflowError) as caught:
        read_inputs(COUNTDOWN, ["nmbers=1 2 3", "target=101"])
    assert caught.value.problems == (
        "input 'nmbers': unknown, did you mean numbers?; this workflow has numbers, target",
        "input numbers: missing; expected 3 to 4 integers from 1 to 50 (this workflow has numbers, target)",
        "input target: is 101; expected an integer from 1 to 100",
    )


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        (["numbers"], "input 'numbers': expected NAME=VALUE"),
        (["target=1", "target=2"], "input target: given twice"),
        (["=5"], "input '': unknown; this workflow has numbers, target"),
    ],
)
def test_pairs_that_are_none(pairs: list[str], problem: str) -> None:
    with pytest.raises(WorkflowError) as caught:
        read_inputs(COUNTDOWN, pairs)
    assert caught.value.problems[0] == problem


def test_an_input_of_a_workflow_without_inputs() -> None:
    with pytest.raises(WorkflowError, match="input 'x': unknown; this workflow has no inputs"):
        read_inputs({}, ["x=1"])


def test_a_default_is_taken_only_when_nothing_is_given() -> None:
    inputs = {"x": Input("integers", default=(1, 2))}
    assert read_inputs(inputs, []) == {"x": (1, 2)}
    assert read_inputs(inputs, ["x="]) == {"x": ()}


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (Input("integer"), "an integer"),
        (Input("integer", min=3), "an integer of at least 3"),
        (Input("number", max=0.5), "a number of at most 0.5"),
        (Input("integers"), "0 to 1000 integers"),
        (Input("integers", length=3, min=0), "3 integers of at least 0"),
        (Input("text"), "a printable text of at most 100000 characters"),
    ],
)
def test_what_is_expected(given_: Input, expected: str) -> None:
    assert given_.expected == expected


@pytest.mark.parametrize(
    "bounds",
    [
        {"type": "text", "max": 3},
        {"type": "integer", "length": 3},
        {"type": "number", "max_length": 3},
        {"type": "integer", "min": 0.5},
        {"type": "integer", "min": 2, "max": 1},
        {"type": "integers", "length": (4, 3)},
        {"type": "integers", "length": 2, "default": (1, 2, 3)},
        {"type": "text", "default": 5},
    ],
)
def test_bounds_that_do_not_go_together(bounds: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="; expected "):
        Input(**bounds)


@given(st.lists(st.integers(-(10**17), 10**17), max_size=20))
def test_integers_survive_both_ways_of_writing_them(numbers: list[int]) -> None:
    inputs = {"x": Input("integers")}
    value = tuple(numbers)
    assert read_inputs(inputs, [f"x={as_text(value)}"]) == {"x": value}
    assert read_inputs(inputs, [f"x={json.dumps(numbers)}"]) == {"x": value}
    assert bind_inputs(inputs, {"x": numbers}) == {"x": value}


@given(st.sampled_from(sorted(KINDS)), st.text())
def test_any_text_is_a_value_within_the_bounds_or_refused_in_a_line(kind: str, text: str) -> None:
    try:
        value = read_inputs({"x": KINDS[kind]}, [f"x={text}"])["x"]
    except WorkflowError as error:
        assert len(error.problems) == 1
        assert "\n" not in str(error)
    else:
        assert KINDS[kind].accept(value) == value
