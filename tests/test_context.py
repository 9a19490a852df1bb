"""Contexts: appending copies nothing, ids are concatenated, and what was stored is what comes back."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.context import Context, Origin, Segment, ids_of
from apr_agents.errors import ContextError

texts = st.text(st.characters(), max_size=8)
segments = st.builds(
    Segment, texts, st.none() | st.lists(st.integers(0, 2**31), max_size=5).map(tuple), st.sampled_from(Origin)
)
with_ids = st.builds(Segment, texts, st.lists(st.integers(0, 9), max_size=5).map(tuple), st.sampled_from(Origin))


@given(st.lists(segments, min_size=1, max_size=6), st.lists(segments, max_size=6))
def test_a_context_is_the_concatenation_of_its_segments(first: list[Segment], more: list[Segment]) -> None:
    start = Context.of(*first)
    grown = start.extend(*more)
    assert grown.segments == (*first, *more)
    assert grown.since(start) == tuple(more)
    assert grown.since(grown) == ()
    assert grown.since(None) == grown.segments
    assert grown.text == "".join(segment.text for segment in (*first, *more))
    assert grown.tokens == sum(len(segment.ids or ()) for segment in (*first, *more))


@given(st.lists(with_ids, min_size=1, max_size=6))
def test_ids_are_those_of_the_segments(parts: list[Segment]) -> None:
    context = Context.of(*parts)
    assert context.ids == tuple(token for part in parts for token in part.ids or ())
    assert len(context.ids) == context.tokens
    assert ids_of(context.segments) == context.ids


def test_a_context_shares_every_link_of_the_one_that_it_grows_from() -> None:
    start = Context.of(Segment("a", (1,), Origin.client))
    one, other = start.extend(Segment("b", (2,), Origin.header)), start.extend(Segment("b", (2,), Origin.header))
    assert one.parent is other.parent is start
    assert one != other
    assert start.extend() is start
    assert list(one.links()) == [one, start]


def test_a_context_knows_what_it_does_not_grow_from() -> None:
    segment = Segment("a", (1,), Origin.client)
    with pytest.raises(ContextError, match="does not grow from"):
        Context.of(segment).since(Context.of(segment))


def test_a_text_without_ids_says_so() -> None:
    with pytest.raises(ContextError, match="has no token ids: 'so'"):
        _ = Context.of(Segment("a", (1,), Origin.client), Segment("so", None, Origin.client)).ids


@given(segments)
def test_a_stored_segment_comes_back_as_it_was(segment: Segment) -> None:
    assert Segment.from_json(segment.to_json()) == segment
    if segment.text.isascii():
        assert Segment.from_json(json.loads(json.dumps(segment.to_json()))) == segment


@given(segments, segments)
def test_digests_tell_segments_apart(one: Segment, other: Segment) -> None:
    assert (one.digest == other.digest) == (one == other)


@pytest.mark.parametrize(
    "change",
    [
        {"text": "no"},
        {"ids": [1, 3]},
        {"ids": None},
        {"ids": [[1], 2]},
        {"ids": 5},
        {"origin": "generated"},
        {"origin": "nobody"},
        {"digest": "0" * 32},
        {"digest": None},
    ],
)
def test_an_altered_segment_is_refused(change: dict[str, object]) -> None:
    stored = Segment("yes", (1, 2), Origin.branch).to_json()
    with pytest.raises(ContextError):
        Segment.from_json({**stored, **change})


@pytest.mark.parametrize("missing", ["text", "ids", "origin", "digest"])
def test_a_segment_with_a_part_missing_is_refused(missing: str) -> None:
    stored = Segment("yes", (1, 2), Origin.branch).to_json()
    with pytest.raises(ContextError):
        Segment.from_json({key: value for key, value in stored.items() if key != missing})


def test_a_thousand_branches_of_a_long_context_copy_none_of_it() -> None:
    long = Context.of(Segment("x" * 100_000, tuple(range(100_000)), Origin.client))
    tracemalloc.start()
    branches = [long.extend(Segment("b", (number,), Origin.generated)) for number in range(1000)]
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 1000 * 1_000
    assert all(branch.parent is long for branch in branches)


def test_a_very_long_chain_is_freed_without_recursion() -> None:
    context = Context.of(Segment("a", (1,), Origin.client))
    for _ in range(50_000):
        context = context.extend(Segment("", (), Origin.generated))
    assert context.tokens == 1
    del context
