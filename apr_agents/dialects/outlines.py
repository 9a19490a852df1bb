"""What one block's outlines say: their numbers, which of them can be used, and what is wrong with the others."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from apr_agents.dialects import verdicts
from apr_agents.dialects.dialect import Dialect
from apr_agents.events import Outline

HEAD = 64
"""Characters within which the colon after a number must stand."""
_PART = re.compile("[0-9]+")
_DIGITS = 9
"""Digits that one part of a number may have."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A verdict before it has a place."""

    kind: str
    detail: str
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an outline or a branch."""

    number: str | None
    """None when there is none that can be used."""
    rest: str
    """What follows the colon; everything when there is no number."""
    faults: tuple[Fault, ...] = ()
    parts: tuple[int, ...] = ()
    """Of the number: those of `1.2` are 1 and 2."""


def read_head(text: str, dialect: Dialect) -> Head:
    """The number before the first colon of this text, as the dialect writes it."""
    label, colon, rest = text.partition(":")
    number = label.strip()
    if not colon or len(label) >= HEAD or not _compiled(dialect.number_pattern).fullmatch(number):
        return Head(None, text, (_not_a_number((label if colon else text).strip()),))
    digits = _PART.findall(number)
    if max(map(len, digits), default=0) > _DIGITS:
        return Head(None, text, (_bad(f"the number {number[:20]} is too large", repaired=False),))
    parts = tuple(map(int, digits))
    if "".join(map(str, parts)) != "".join(digits):
        return Head(number, rest, (_bad(f"the number {number} has leading zeros", repaired=True),), parts)
    if parts and parts[-1] < dialect.first_number:
        return Head(number, rest, (_bad(f"numbers begin at {dialect.first_number}", repaired=True),), parts)
    return Head(number, rest, (), parts)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _bad(detail: str, *, repaired: bool) -> Fault:
    return Fault(verdicts.BAD_NUMBER, detail, repaired)


def _not_a_number(text: str) -> Fault:
    shown = repr(text[:20])
    if text[:1].isdigit() or (text[:1] in ("-", "+", ".") and text[1:2].isdigit()):
        return _bad(f"{shown} does not begin with a number such as `1:`", repaired=False)
    return Fault(verdicts.NO_NUMBER, f"{shown} does not begin with a number and a colon")


@dataclass(slots=True)
class Plan:
    """The outlines of one block, as far as they are written. `cap` is how many of them may be used."""

    dialect: Dialect
    cap: int
    outlines: list[Outline] = field(default_factory=list[Outline])
    """Those that can be used."""
    refused: list[Outline] = field(default_factory=list[Outline])
    """Those over the cap."""
    numbers: set[str] = field(default_factory=set[str])
    """Of both."""
    last: tuple[int, ...] = ()
    """The highest number so far, by its parts."""

    def add(self, text: str, offset: int) -> tuple[Outline | None, list[Fault]]:
        """Take the next outline's text: the outline if it can be used, and all that is wrong with it."""
        head = read_head(text, self.dialect)
        faults = list(head.faults)
        if head.number is None:
            return None, faults
        if head.number in self.numbers:
            return None, [Fault(verdicts.DUPLICATE_NUMBER, f"there is an outline {head.number} already")]
        faults += self._order(head.number, head.parts)
        outline = Outline(head.number, head.rest.strip(), offset)
        if not outline.text:
            faults.append(Fault(verdicts.EMPTY_OUTLINE, f"outline {outline.number} has no text", repaired=True))
        self.numbers.add(outline.number)
        if len(self.outlines) >= self.cap:
            self.refused.append(outline)
            return None, [*faults, Fault(verdicts.TOO_MANY_OUTLINES, f"a block has at most {self.cap} outlines")]
        self.outlines.append(outline)
        return outline, faults

    def _order(self, number: str, parts: tuple[int, ...]) -> list[Fault]:
        """Whether this number follows the highest so far; `1.3` is followed by `1.4`, `2` or `2.1`."""
        if not parts:
            return []
        last, self.last = self.last, max(self.last, parts)
        if parts < last:
            return [Fault(verdicts.OUT_OF_ORDER, f"outline {number} comes after a higher number", repaired=True)]
        if parts[-1] <= self.dialect.first_number and parts[:-1] >= last[:-1]:
            return []
        if parts[:-1] == last[:-1] and last and parts[-1] == last[-1] + 1:
            return []
        if len(parts) < len(last) and parts[-1] == last[len(parts) - 1] + 1:
            return []
        return [Fault(verdicts.MISSING_NUMBER, f"a number before {number} is left out", repaired=True)]
