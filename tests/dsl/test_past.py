"""What a step gave is stored once, and comes back whole."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.dsl.past import StepResult
from apr_agents.dsl.values import Value

LONG = "a long text of the model's, word for word"
TEXTS = st.sampled_from([LONG, "", "another"])
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.none(), st.booleans(), st.integers(0, 1), st.floats(0, 1), TEXTS, st.lists(TEXTS, max_size=2)
)


@given(st.lists(TEXTS, max_size=2), VALUES, VALUES, st.dictionaries(st.sampled_from("abc"), VALUES))
def test_it_is_as_it_was(texts: list[str], value: Value, before: Value, names: dict[str, Value]) -> None:
    found = StepResult.of(tuple(texts), value, before, names)
    assert json.dumps(found.value_behind(before)) == json.dumps(value)
    assert json.dumps(found.names(found.value_behind(before)), sort_keys=True) == json.dumps(names, sort_keys=True)


LIST: list[Value] = [LONG, LONG[1:]]


@pytest.mark.parametrize(
    ("found", "copies"),
    [
        pytest.param(
            StepResult.of((LONG,), LONG, None, {"draft": LONG, "best": LONG}), 1, id="a text, its value and its names"
        ),
        pytest.param(StepResult.of((), LONG, LONG, {"again": LONG}), 0, id="the value of the step before gets a name"),
        pytest.param(StepResult.of((), LIST, None, {"all": LIST}), 1, id="a list and its name"),
    ],
)
def test_nothing_is_stored_twice(found: StepResult, copies: int) -> None:
    assert repr(found).count(repr(LONG)) == copies
