"""The prefix index against the plain definition: the longest common prefix with anything that was added."""

from __future__ import annotations

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from apr_agents.context import Context, Origin, Segment
from apr_agents.prefixes import PrefixIndex

Step = tuple[int, tuple[int, ...], int, bool]

steps = st.tuples(
    st.integers(0, 30),
    st.lists(st.integers(0, 2), max_size=6).map(tuple),
    st.integers(0, 3),
    st.booleans(),
)
"""Which context grows, by what ids, how many of its last tokens are unevaluated, and whether it is added."""


@settings(max_examples=400)
@given(st.lists(steps, max_size=30))
def test_matched_is_the_longest_common_prefix_with_anything_added(history: list[Step]) -> None:
    index, contexts, added = PrefixIndex(), [_context((0,), None)], list[tuple[int, ...]]()
    for place, ids, unevaluated, add in history:
        context = _context(ids, contexts[place % len(contexts)])
        contexts.append(context)
        if add:
            index.add(context, unevaluated)
            added.append(context.ids[: max(0, context.tokens - unevaluated)])
        else:
            assert index.matched(context) == _longest(context.ids, added)
    for context in contexts:
        assert index.matched(context) == _longest(context.ids, added)


def _context(ids: tuple[int, ...], parent: Context | None) -> Context:
    segment = Segment("", ids, Origin.client)
    return Context.of(segment) if parent is None else parent.extend(segment)


def _longest(ids: tuple[int, ...], added: list[tuple[int, ...]]) -> int:
    return max((_common(ids, other) for other in added), default=0)


def _common(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    for place, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return place
    return min(len(left), len(right))


def test_the_same_tokens_match_whatever_links_they_are_cut_into() -> None:
    index = PrefixIndex()
    index.add(_context((1, 2, 3, 4, 5), None))
    assert index.matched(_context((4, 5, 6), _context((3,), _context((1, 2), None)))) == 5


def test_a_branch_of_a_long_context_costs_its_own_tokens() -> None:
    index, long = PrefixIndex(), _context(tuple(range(100_000)), None)
    index.add(long, unevaluated=1)
    first = _context((7, 7), long)
    assert index.matched(first) == 99_999
    index.add(first)
    tracemalloc.start()
    for branch in range(100):
        context = _context((7, branch), long)
        index.add(context)
        assert index.matched(context) == 100_002
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 2_000
