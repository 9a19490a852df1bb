"""Which tokens were evaluated before: the longest common prefix of a context with anything that was."""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

from apr_agents.context import Context


class _Strand:
    """A run of tokens; others leave it at an offset, where their first token differs. It only ever grows."""

    __slots__ = ("ids", "leaving")

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.leaving: dict[tuple[int, int], _Strand] = {}
        """By offset and first token."""


class _Place(NamedTuple):
    """Where a walk over the strands stands, and how much of its context it matched."""

    strand: _Strand
    offset: int
    matched: int


class PrefixIndex:
    """All contexts evaluated so far, as strands of tokens.

    Its mutable state is the strands, and for each link of a context the place to which it was matched: strands only
    grow, so a later look-up goes on from there and a branch of a long context costs its own tokens only.
    """

    def __init__(self) -> None:
        self._start = _Place(_Strand(), 0, 0)
        self._places: dict[int, tuple[Context, _Place]] = {}

    def matched(self, context: Context) -> int:
        """How many of this context's tokens, from the start, were evaluated before."""
        return self._locate(context).matched

    def add(self, context: Context, unevaluated: int = 0) -> None:
        """Remember this context as evaluated, but for its last tokens."""
        strand, offset, matched = self._locate(context)
        ids = _between(context, matched, context.tokens - unevaluated)
        if not ids:
            return
        if offset < len(strand.ids):
            strand = strand.leaving.setdefault((offset, ids[0]), _Strand())
        strand.ids.extend(ids)

    def _locate(self, context: Context) -> _Place:
        """The furthest place for this link, found from the nearest link above whose place is known."""
        link, place = context, self._start
        unknown: list[Context] = []
        while (known := self._places.get(id(link))) is None:
            unknown.append(link)
            if link.parent is None:
                break
            link = link.parent
        else:
            place = known[1]
            if place.matched < link.tokens:
                place = _advance(place, _between(link, place.matched, link.tokens))
                self._places[id(link)] = (link, place)
        for link in reversed(unknown):
            ids = link.segment.ids or ()
            # Behind a link that is not matched to its end nothing more can match.
            if place.matched == link.tokens - len(ids):
                place = _advance(place, ids)
            self._places[id(link)] = (link, place)
        return place


def _between(context: Context, start: int, end: int) -> tuple[int, ...]:
    """The tokens of this context from position `start` to `end`, without touching what lies before."""
    parts: list[tuple[int, ...]] = []
    for link in context.links():
        ids = link.segment.ids or ()
        before = link.tokens - len(ids)
        if before < end:
            parts.append(ids[max(0, start - before) : end - before])
        if before <= start:
            break
    return parts[0] if len(parts) == 1 else tuple(chain.from_iterable(reversed(parts)))


def _advance(place: _Place, ids: tuple[int, ...]) -> _Place:
    """As far as these tokens follow the strands."""
    strand, offset, matched = place
    done = 0
    while done < len(ids):
        same = _common(strand.ids, offset, ids, done)
        offset, done = offset + same, done + same
        following = strand.leaving.get((offset, ids[done])) if done < len(ids) else None
        if following is None:
            break
        strand, offset = following, 0
    return _Place(strand, offset, matched + done)


def _common(left: list[int], at: int, right: tuple[int, ...], start: int) -> int:
    """How many tokens agree from these two positions on."""
    length = min(len(left) - at, len(right) - start)
    if length == 0 or left[at] != right[start]:
        return 0
    if left[at : at + length] == list(right[start : start + length]):
        return length
    return next(step for step in range(length) if left[at + step] != right[start + step])
