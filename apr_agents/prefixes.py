"""Which tokens were evaluated before: the longest common prefix of a context with anything that was."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

from apr_agents.context import Context


@dataclass(slots=True, eq=False)
class _Strand:
    """A run of tokens; others leave it at an offset, where their first token differs. It only ever grows."""

    ids: list[int] = field(default_factory=list[int])
    leaving: dict[int, dict[int, _Strand]] = field(default_factory=dict[int, dict[int, "_Strand"]])


@dataclass(frozen=True, slots=True)
class _Place:
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
        place = self._locate(context)
        end = context.tokens - unevaluated
        if place.matched >= end:
            return
        ids = _tail(context, place.matched)[: end - place.matched]
        strand = place.strand
        if place.offset < len(strand.ids) or place.offset in strand.leaving:
            strand = strand.leaving.setdefault(place.offset, {}).setdefault(ids[0], _Strand())
        strand.ids.extend(ids)

    def _locate(self, context: Context) -> _Place:
        """The furthest place for this link, found from the nearest link above whose place is known."""
        pending: list[Context] = []
        place = self._start
        for link in context.links():
            known = self._places.get(id(link))
            if known is not None:
                place = known[1]
                if place.matched < link.tokens:
                    pending.append(link)
                break
            pending.append(link)
        oldest = pending[-1] if pending else None
        for link in reversed(pending):
            # Behind a link that is not matched to its end nothing more can match.
            if link is oldest or place.matched == link.tokens - len(link.segment.ids or ()):
                place = _advance(place, _tail(link, place.matched))
            self._places[id(link)] = (link, place)
        return place


def _tail(context: Context, start: int) -> tuple[int, ...]:
    """The tokens of this context from position `start` on, without touching what lies before."""
    parts: list[tuple[int, ...]] = []
    for link in context.links():
        before = link.tokens - len(link.segment.ids or ())
        if link.tokens > start:
            parts.append((link.segment.ids or ())[max(0, start - before) :])
        if before <= start:
            break
    return parts[0] if len(parts) == 1 else tuple(chain.from_iterable(reversed(parts)))


def _advance(place: _Place, ids: tuple[int, ...]) -> _Place:
    """As far as these tokens follow the strands."""
    strand, offset, done = place.strand, place.offset, 0
    while done < len(ids):
        same = _common(strand.ids, offset, ids, done)
        offset, done = offset + same, done + same
        next_strand = strand.leaving.get(offset, {}).get(ids[done]) if done < len(ids) else None
        if next_strand is None:
            break
        strand, offset = next_strand, 0
    return _Place(strand, offset, place.matched + done)


def _common(left: list[int], at: int, right: tuple[int, ...], start: int) -> int:
    """How many tokens agree from these two positions on."""
    length = min(len(left) - at, len(right) - start)
    if left[at : at + length] == list(right[start : start + length]):
        return length
    return next(step for step in range(length) if left[at + step] != right[start + step])
