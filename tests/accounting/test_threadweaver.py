"""ThreadWeaver's published figures: by hand on small responses, and their laws on any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.accounting import threadweaver
from apr_agents.accounting.threadweaver import TAGS, ThreadWeaverFigures
from apr_agents.errors import UsageError

OPEN, CLOSE, BEGIN, END = 1, 2, 3, 4
IDS: dict[str, int] = dict(zip(TAGS, (OPEN, CLOSE, BEGIN, END), strict=True))
WORD = 9

CASES: dict[str, tuple[list[int], int, int, int]] = {
    "nothing": ([], 0, 0, 0),
    "no block": ([WORD] * 5, 5, 5, 0),
    # 1 before, the block's two tags, 2 of outlines, two wrapped threads of 3 and 1, 1 behind
    "one block": (
        [WORD, OPEN, WORD, WORD, BEGIN, WORD, WORD, WORD, END, BEGIN, WORD, END, CLOSE, WORD],
        14,
        4 + (2 + 4) + 3,
        10,
    ),
    "two blocks": (
        [OPEN, BEGIN, WORD, END, BEGIN, WORD, WORD, END, CLOSE, OPEN, BEGIN, WORD, END, CLOSE],
        14,
        4 + (4 + 2) + (2 + 1),
        10,
    ),
    "the wrappers of all threads are on the path": ([OPEN, *[BEGIN, END] * 3, CLOSE], 8, 8, 6),
    "nested tags are literal": ([OPEN, BEGIN, OPEN, BEGIN, CLOSE, END, BEGIN, WORD, END, CLOSE], 10, 2 + 4 + 3, 8),
    "a block in a block, outside of threads, is literal": ([OPEN, OPEN, CLOSE, CLOSE], 4, 4, 1),
    "stray closing tags are sequential": ([END, CLOSE, OPEN, END, CLOSE], 5, 5, 1),
    "a thread outside of a block is sequential": ([BEGIN, WORD, END], 3, 3, 0),
    "an unterminated thread is flushed": ([OPEN, BEGIN, WORD, END, BEGIN, WORD, WORD], 7, 1 + 3 + 2, 6),
    "an unterminated block is flushed": ([OPEN, BEGIN, WORD, WORD, END, BEGIN, WORD, END], 8, 1 + 4 + 2, 7),
}


@pytest.mark.parametrize("name", CASES)
def test_the_figures_are_the_published_ones(name: str) -> None:
    ids, total, longest, inside = CASES[name]
    assert threadweaver(ids, IDS) == ThreadWeaverFigures(
        total, longest, 1 - longest / total if total else 0.0, inside / total if total else 0.0
    )


@given(st.lists(st.sampled_from([OPEN, CLOSE, BEGIN, END, WORD, WORD, WORD])))
def test_every_token_is_counted_once_and_the_path_is_no_longer_than_all(ids: list[int]) -> None:
    figures = threadweaver(ids, IDS)
    assert figures.total_num_tokens == len(ids)
    assert 0 <= figures.num_tokens_in_the_longest_thread <= len(ids)
    assert 0 <= figures.acceleration_ratio < 1
    assert 0 <= figures.parallel_ratio <= 1


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_only_all_threads_but_the_longest_are_saved(lengths: list[int]) -> None:
    threads = [token for length in lengths for token in (BEGIN, *[WORD] * length, END)]
    figures = threadweaver([OPEN, *threads, CLOSE], IDS)
    saved = figures.total_num_tokens - figures.num_tokens_in_the_longest_thread
    assert saved == sum(lengths) - max(lengths)


def test_each_tag_needs_an_id_of_its_own() -> None:
    with pytest.raises(UsageError, match="tags lacks </Parallel>, </Thread>"):
        threadweaver([], {"<Parallel>": 1, "<Thread>": 2})
    with pytest.raises(UsageError, match="two tags have one id"):
        threadweaver([], dict.fromkeys(TAGS, 1))
