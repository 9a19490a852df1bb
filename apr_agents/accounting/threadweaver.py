"""ThreadWeaver's published figures, computed from token ids exactly as they were published.

Source: Lian et al., "ThreadWeaver", arXiv 2512.07843, section 6.1, and `get_parallel_stats` of the released code, whose
behaviour this follows where the two differ: the tokens of all wrappers are on the path, not only the winner's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from apr_agents.errors import UsageError

TAGS: Final = ("<Parallel>", "</Parallel>", "<Thread>", "</Thread>")
"""The tags whose ids the figures need."""


@dataclass(frozen=True, slots=True)
class ThreadWeaverFigures:
    """The figures, under their published names."""

    total_num_tokens: int
    """Tokens of the response, those that the client injected included."""
    num_tokens_in_the_longest_thread: int
    """Tokens outside of threads, and in each block those of its longest thread."""
    acceleration_ratio: float
    """`1 - num_tokens_in_the_longest_thread / total_num_tokens`; 0 for an empty response."""
    parallel_ratio: float
    """The share of tokens that stand inside blocks, the blocks' own two tags excluded; 0 for an empty response."""


def threadweaver(ids: Iterable[int], tags: Mapping[str, int]) -> ThreadWeaverFigures:
    """The figures of a response: its token ids, and the id of each of `TAGS`.

    A tag inside a thread, other than the one that closes it, is literal, and so is one that closes nothing. What the
    end of the text leaves open counts as if it were closed there. Raises UsageError for a tag without an id of its own.
    """
    opens, closes, begins, ends = _ids_of(tags)
    outside = in_blocks = on_path = 0
    thread: int | None = None
    longest: int | None = None
    for token in ids:
        if longest is None:
            outside += 1
            if token == opens:
                longest = 0
        elif thread is not None and token != ends:
            thread += 1
        elif thread is not None:
            in_blocks, on_path, longest, thread = in_blocks + thread + 1, on_path + 1, max(longest, thread), None
        elif token == closes:
            outside, on_path, longest = outside + 1, on_path + longest, None
        else:
            in_blocks, on_path = in_blocks + 1, on_path + 1
            thread = 0 if token == begins else None
    in_blocks += thread or 0
    on_path += max(longest or 0, thread or 0)
    total = outside + in_blocks
    path = outside + on_path
    return ThreadWeaverFigures(total, path, 1 - path / total if total else 0.0, in_blocks / total if total else 0.0)


def _ids_of(tags: Mapping[str, int]) -> tuple[int, int, int, int]:
    missing = [tag for tag in TAGS if tag not in tags]
    if missing:
        raise UsageError(f"tags lacks {', '.join(missing)}; give the token id of each of {', '.join(TAGS)}")
    opens, closes, begins, ends = (tags[tag] for tag in TAGS)
    if len({opens, closes, begins, ends}) < len(TAGS):
        raise UsageError(f"two tags have one id ({opens}, {closes}, {begins}, {ends}); each must be a token of its own")
    return opens, closes, begins, ends
