"""Ways to feed one text to a parser, and what must hold of its events whatever the text is."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from apr_agents.dialects import Dialect, load_dialect
from apr_agents.dialects.limits import DEFAULTS, ParserLimits
from apr_agents.dialects.parser import Parser
from apr_agents.dialects.verdicts import VERDICTS
from apr_agents.events import BranchClosed, BranchOpened, Closed, Event, Opened, Text, Verdict

DIALECTS = ("threadweaver", "threadweaver-code", "multiverse", "parallel-r1", "npr")
"""Those that run."""
SMALL = ParserLimits(outline=40, outlines=3, depth=2, block=200)
"""Limits that short texts reach."""
_FILLERS = (
    "1:",
    "2: two",
    " 1 : a",
    "3:",
    "1.1: b",
    "01:",
    "0:",
    "\n",
    " ",
    "word ",
    "<",
    "</",
    "<Par",
    "é𝔘",
    "\x00",
    "１:",
)


def dialects() -> list[Dialect]:
    """Those that run, and one that nests with ThreadWeaver's tags."""
    loaded = [load_dialect(name) for name in DIALECTS]
    return [*loaded, replace(loaded[0], name="nesting", nests=True)]


def merged(events: Iterable[Event]) -> list[Event]:
    """These events with adjacent text put together: where a text was cut is no fact about it."""
    found: list[Event] = []
    for event in events:
        last = found[-1] if found else None
        if isinstance(event, Text) and isinstance(last, Text) and event.offset == last.offset + len(last.text):
            found[-1] = Text(last.text + event.text, last.offset)
        else:
            found.append(event)
    return found


def read(
    dialect: Dialect, pieces: Iterable[str], limits: ParserLimits = DEFAULTS, *, inside_branch: bool = False
) -> list[Event]:
    """The merged events of a text that comes in these pieces."""
    parser = Parser(dialect, limits, inside_branch=inside_branch)
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
    return merged(events + parser.close())


def verdicts(events: Iterable[Event]) -> list[Verdict]:
    return [event for event in events if isinstance(event, Verdict)]


def check(events: Sequence[Event], text: str, *, inside_branch: bool = False) -> None:
    """What holds of every text: events are balanced, text is quoted exactly, every verdict is known and in the text."""
    blocks, branches = 0, int(inside_branch)
    for event in events:
        blocks += isinstance(event, Opened) - isinstance(event, Closed)
        branches += isinstance(event, BranchOpened) - isinstance(event, BranchClosed)
        assert blocks >= 0
        assert branches >= 0
        if isinstance(event, Text):
            assert text[event.offset :].startswith(event.text)
        elif isinstance(event, Verdict):
            assert event.kind in VERDICTS
            assert 0 <= event.offset <= len(text)
    assert (blocks, branches) == (0, 0)


def random_text(seeded: random.Random, dialect: Dialect, parts: int) -> str:
    """Tags, their beginnings and fillers in any order, with a bent to what may well follow."""
    tags = list(dialect.tags.roles())
    text: list[str] = []
    at = 0
    for _ in range(parts):
        if seeded.random() < 0.55:
            at = (at + 1) % len(tags) if seeded.random() < 0.6 else seeded.randrange(len(tags))
            text.append(tags[at])
        else:
            text.append(seeded.choice(_FILLERS))
    return "".join(text)


def cut(text: str, places: Sequence[int]) -> list[str]:
    """The text in pieces that end at these sorted places."""
    ends = [*places, len(text)]
    return [text[start:end] for start, end in zip([0, *places], ends, strict=True)]
