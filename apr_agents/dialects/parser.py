"""The incremental parser: text in, events out; no I/O, the same events for every way to cut the text into pieces.

One parser for every dialect that runs. It has two uses. The driver feeds it what an engine generates, of the run or of
one branch, and says `joined()` behind each fork; a stored transcript holds its branches itself and needs no such word.
This module is their common face; what a tag does is in `states`.
"""

from __future__ import annotations

from apr_agents.dialects import verdicts
from apr_agents.dialects.dialect import Dialect
from apr_agents.dialects.limits import DEFAULTS, ParserLimits
from apr_agents.dialects.scanner import Scanner
from apr_agents.dialects.states import States
from apr_agents.dialects.structure import Structure
from apr_agents.errors import DialectError, UsageError
from apr_agents.events import Event


class Parser:
    """Reads one text: a run's (`inside_branch` False) or the body of one branch, which its closing tag ends.

    `depth` is how many blocks are around the text; `offset` is where it begins, and all offsets count from there.
    Blocks, branches and conclusions are balanced in the events: each that opened is closed, at the latest by `close`.
    Raises DialectError for a dialect whose models open no blocks, or that does not run.
    """

    def __init__(
        self,
        dialect: Dialect,
        limits: ParserLimits = DEFAULTS,
        *,
        inside_branch: bool = False,
        depth: int = 0,
        offset: int = 0,
    ) -> None:
        if not dialect.reads:
            raise DialectError(f"dialect {dialect.name}: its data can be looked at, its texts cannot be parsed")
        self._tail = dialect.join_tail
        self._tags = dialect.tags
        self._scanner = Scanner(dialect.tags)
        self._open = Structure(dialect, limits, max(depth, int(inside_branch)), offset)
        self._states = States(self._open, dialect, limits, inside_branch=inside_branch)
        self._closed = False

    @property
    def inside_tag(self) -> bool:
        """Whether the text so far may end inside a tag."""
        return self._scanner.holds

    def feed(self, text: str) -> list[Event]:
        """What the next piece of the text completes. Raises UsageError after `close`."""
        if self._closed:
            raise UsageError("a parser was fed after its close; make one for each text")
        self._consume(self._scanner.feed(text))
        return self._open.take()

    def joined(self) -> list[Event]:
        """The client put the branches of the latest fork and the dialect's tail behind it: go on after them.

        Raises UsageError when no fork is open.
        """
        self._consume_held()
        states = self._states
        if not states.forked:
            raise UsageError("joined() was called without an open fork")
        states.join()
        for tag in Scanner(self._tags).feed(self._tail)[1::2]:
            states.tag(tag)
        return self._open.take()

    def close(self) -> list[Event]:
        """The text is over: whatever is open gets its verdict. Nothing more happens when called again."""
        if not self._closed:
            self._consume_held()
            self._states.end_of_text()
            self._closed = True
        return self._open.take()

    def _consume(self, pieces: list[str]) -> None:
        """Take text, tag, text, tag and so on; a text may be empty."""
        opened, states = self._open, self._states
        now = states.now
        is_tag = False
        for piece in pieces:
            if piece:
                end = opened.at + len(piece)
                rest = piece if end <= now.limit_at else self._fit(piece, is_tag)
                if is_tag:
                    states.tag(rest)
                else:
                    states.text(rest)
                opened.at = end
            is_tag = not is_tag

    def _fit(self, piece: str, is_tag: bool) -> str:
        """Take of this piece what the open block still has room for, and end the block there; what is left of it."""
        opened, states = self._open, self._states
        end = opened.at + len(piece)
        fits = 0 if is_tag else states.now.limit_at - opened.at
        if fits:
            states.text(piece[:fits])
            opened.at += fits
        if end > states.now.limit_at:
            states.overflow()
        return piece[fits:]

    def _consume_held(self) -> None:
        held = self._scanner.rest()
        if held.strip("</") and not self._states.ended:
            self._open.say(verdicts.CUT_TAG, self._open.at, f"the text ends inside a tag: {held}")
        self._consume([held])
