"""Plain YAML is read as it stands; what is not plain, or larger than the bounds, is refused where it begins."""

from __future__ import annotations

import json
import math
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.dsl.guard import MAX_BYTES, MAX_DEPTH, MAX_NODES, decode, read
from apr_agents.dsl.places import Place
from apr_agents.errors import WorkflowError

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff"))
integers = st.integers(-(10**18) + 1, 10**18 - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False).filter(lambda one: len(repr(one)) < 18)
values = st.recursive(
    st.none() | st.booleans() | integers | numbers | texts,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(texts.filter(lambda key: key != "<<"), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(values)
def test_json_means_itself(value: object) -> None:
    assert read(json.dumps(value, ensure_ascii=False), "f").data == value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("Yes", "Yes"),
        ("on", "on"),
        ("True", "True"),
        ("NULL", "NULL"),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("+1", "+1"),
        ("1.", "1."),
        (".5", ".5"),
        (".inf", ".inf"),
        ("2026-11-21", "2026-11-21"),
        ("=", "="),
        ("'1'", "1"),
        ('"true"', "true"),
        ("|\n 5\n", "5\n"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-7", -7),
        ("1e3", 1000.0),
        ("-0.5E-1", -0.05),
    ],
)
def test_a_scalar_is_json_or_text(written: str, value: object) -> None:
    found = cast("dict[str, object]", read(f"a: {written}", "f").data)["a"]
    assert found == value
    assert type(found) is type(value)


def test_places_are_those_of_keys_and_items() -> None:
    places = read("a:\n  - b: 1\n    c: {d: 2}\n  - e\n", "f").places
    assert places == {
        (): Place(1, 1),
        ("a",): Place(1, 1),
        ("a", 0): Place(2, 5),
        ("a", 0, "b"): Place(2, 5),
        ("a", 0, "c"): Place(3, 5),
        ("a", 0, "c", "d"): Place(3, 9),
        ("a", 1): Place(4, 5),
    }


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (nested(MAX_DEPTH), True),
        (nested(MAX_DEPTH + 1), False),
        ("- 1\n" * (MAX_NODES - 1), True),
        ("- 1\n" * MAX_NODES, False),
        ("#" * MAX_BYTES + "\n1", False),
        ("#" * (MAX_BYTES - 2) + "\n1", True),
        ("9" * 18, True),
        ("9" * 19, False),
        ("é" * (MAX_BYTES // 2), True),
        ("é" * (MAX_BYTES // 2) + "x", False),
    ],
    ids=["depth", "deeper", "values", "more-values", "larger", "size", "digits", "more-digits", "bytes", "more-bytes"],
)
def test_each_bound_holds_exactly(text: str, *, fits: bool) -> None:
    if fits:
        read(text, "f")
    else:
        with pytest.raises(WorkflowError):
            read(text, "f")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[" * 200_000, "1:33"),
        ("{a: " * 60_000, "1:129"),
        ("- " * 100_000, "1:65"),
        ("? " * 100_000, "1:3"),
        ("- 1\n" * 60_000, "10000:3"),
        ("a: &a [x]\n" + "b: [*a, *a]\n" * 20_000, "1:4"),
        ("<<: {a: 1}\n" * 20_000, "1:1"),
        ("a: 1\n" * 50_000, "2:1"),
        ("a: " + "9" * 250_000, "1:4"),
        ("a: !" + "t" * 250_000 + " 1", "1:4"),
        ("1\n---\n" * 40_000, "2:1"),
    ],
    ids=["flow", "maps", "items", "keys", "values", "aliases", "merges", "twice", "digits", "tag", "documents"],
)
def test_reading_stops_where_the_bound_is_crossed(text: str, place: str) -> None:
    """So the cost of a hostile file is the cost of what stands before that place, not of its size."""
    with pytest.raises(WorkflowError) as caught:
        read(text, "f")
    assert str(caught.value).startswith(f"f:{place} $")
    assert len(str(caught.value)) < 300


@given(st.text(alphabet="ab:-? []{}#&*!|>'\"%@`,\n\t\\0", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        document = read(text, "f")
    except WorkflowError as error:
        assert str(error).startswith("f:")
    else:
        assert () in document.places


@given(st.binary(max_size=40))
def test_bytes_are_text_or_refused_at_their_line(raw: bytes) -> None:
    try:
        expected = raw.decode()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        with pytest.raises(WorkflowError, match=rf"^f:{line}:"):
            decode(raw, "f")
    else:
        assert decode(raw, "f") == expected


def test_numbers_are_finite() -> None:
    with pytest.raises(WorkflowError, match="too large"):
        read("1e999", "f")
    assert math.isfinite(cast("float", read("1e308", "f").data))
