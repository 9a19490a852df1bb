"""Each way from one state of a text to the next: what opens, ends or is broken off there.

Rule: everything that changes the state is in this file. Which way is taken, by tag and state, is in `states`.
"""

from __future__ import annotations

import sys
from typing import Literal

from apr_agents.dialects import verdicts
from apr_agents.dialects.dialect import Dialect
from apr_agents.dialects.limits import ParserLimits
from apr_agents.dialects.structure import Structure
from apr_agents.events import BranchClosed

State = Literal["text", "block", "outlines", "outline", "branches", "head", "conclusion", "after", "ended"]
"""`block`: open, before its outlines. `head`: in a branch, before its number's colon. `after`: behind a block whose
conclusion must follow. `ended`: behind the end of the branch that is the whole text."""

_NO_LIMIT = sys.maxsize


class Transitions:
    """The state of a text that holds blocks, and the ways from it: each takes the tag or text that stands at `at`."""

    def __init__(self, opened: Structure, dialect: Dialect, limits: ParserLimits, *, inside_branch: bool) -> None:
        self.state: State = "text"
        self.limit_at = _NO_LIMIT
        """Where the outermost open block would be too large."""
        self.noticed = False
        """Whether this stretch of stray text has its verdict."""
        self._open = opened
        self._dialect = dialect
        self._limits = limits
        self._inside_branch = inside_branch
        self._implied: str | None = None
        """The closing tag that a repair took for granted, until the next block opens."""

    # Blocks

    def open_block(self, tag: str) -> None:
        """A block opens in a text; as text, if it would nest too deep."""
        opened = self._open
        if not opened.open_block():
            opened.text(tag, self._open.at)
            return
        self._implied = None
        if len(opened.levels) == 1:
            self.limit_at = self._open.at + self._limits.block
        if self._dialect.fork_at == "block_open":
            opened.fork()
            self.state = "branches"
        elif self._dialect.tags.outlines_open == tag:
            self.begin_outlines(tag)
        else:
            self.state = "block"

    def reopen(self, tag: str) -> None:
        """A block opens in a block, outside of its branches: the first was not closed."""
        self._end_part(kept=False)
        if self._open.level.block is not None:
            self._open.break_block(repaired=True)
        self.open_block(tag)

    def close_block(self, tag: str) -> None:
        """The open block closes, and the part that is open in it."""
        if self._open.level.block is None:
            self.stray(tag)
            return
        self._end_part(kept=True)
        self._open.close_block()
        if self._dialect.conclusion == "after":
            self.state = "after"
        else:
            self._leave_block()

    def _leave_block(self) -> None:
        self.state = "text"
        if len(self._open.levels) == 1:
            self.limit_at = _NO_LIMIT

    def _end_part(self, *, kept: bool) -> None:
        """End the outline, outlines or conclusion that is open where something else begins; `kept`: its text counts."""
        opened = self._open
        if self.state == "outline":
            opened.say_unclosed(verdicts.UNCLOSED_OUTLINE, "an outline", repaired=kept)
            if kept:
                opened.take_outline()
        if self.state in ("outline", "outlines"):
            opened.say(verdicts.UNCLOSED_OUTLINES, opened.block.outlines_at, "outlines open here and do not close")
        elif self.state == "conclusion":
            opened.say_unclosed(verdicts.UNCLOSED_CONCLUSION, "a conclusion", repaired=kept)
            opened.take_conclusion()

    def end_all(self) -> None:
        """End everything that is open, down to the text itself."""
        self._end_part(kept=False)
        opened = self._open
        while opened.level.block is not None or len(opened.levels) > 1:
            if opened.level.block is not None:
                opened.break_block(repaired=False)
            else:
                opened.break_branch(repaired=False)
        self._leave_block()

    # Outlines

    def begin_outlines(self, tag: str) -> None:
        """The outlines of the open block begin."""
        self._open.block.outlines_at = self._open.at
        self.state = "outlines"

    def begin_unopened(self, tag: str) -> None:
        """An outline opens before the outlines do."""
        self._open.say(
            verdicts.UNOPENED_OUTLINES, self._open.at, "an outline stands before the outlines", repaired=True
        )
        self.begin_outlines(tag)
        self.begin_outline(tag)

    def begin_outline(self, tag: str) -> None:
        """An outline opens among the outlines."""
        self._open.begin_part()
        self.state = "outline"

    def end_outline(self, tag: str) -> None:
        """The open outline closes."""
        self._open.take_outline()
        self.state = "outlines"

    def _break_outline(self) -> None:
        if self._dialect.tags.outline_close is not None:
            self._open.say_unclosed(verdicts.UNCLOSED_OUTLINE, "an outline", repaired=True)
        self._open.take_outline()

    def next_outline(self, tag: str) -> None:
        """An outline opens in an outline."""
        self._break_outline()
        self.begin_outline(tag)

    def cross_outlines(self, tag: str) -> None:
        """The outlines close while an outline is open."""
        self._break_outline()
        self._implied = self._dialect.tags.outline_close
        self.end_outlines(tag)

    def end_outlines(self, tag: str) -> None:
        """The outlines close: the moment of the fork."""
        self._open.fork()
        self.state = "branches"

    # Branches

    def open_branch(self, tag: str) -> None:
        """A branch of the open block opens."""
        self._end_part(kept=True)
        self.state = "head" if self._open.open_branch() else "text"

    def end_head(self, end: int) -> None:
        """The head of the open branch is whole at `end`."""
        self._open.take_head(end)
        self.state = "text"

    def next_branch(self, tag: str) -> None:
        """A branch opens in a text: in that of a branch, which was not closed, or stray."""
        if len(self._open.levels) == 1 or self._open.level.literal:
            self.stray(tag)
        else:
            self._open.break_branch(repaired=True)
            self.state = "branches"
            self.open_branch(tag)

    def close_branch(self, tag: str) -> None:
        """A branch closes in a text: the open one, the one that is the whole text, or none."""
        if len(self._open.levels) > 1:
            self._open.end_branch()
            self.state = "branches"
        elif self._inside_branch:
            self._open.events.append(BranchClosed(self._open.at))
            self.state = "ended"
        else:
            self.stray(tag)

    def cross_block(self, tag: str) -> None:
        """A block closes in a text: one that nests too deep, one around the branch that is open, or none."""
        level = self._open.level
        if level.literal:
            self.stray(tag)
            level.literal -= 1
        elif len(self._open.levels) > 1:
            self._open.break_branch(repaired=True)
            self._implied = self._dialect.tags.branch_close
            self.state = "branches"
            self.close_block(tag)
        else:
            self.stray(tag, crossed=self._inside_branch)

    # Conclusions

    def begin_conclusion(self, tag: str) -> None:
        """A conclusion opens, inside a block or behind it, or does not belong there."""
        block = self._open.level.block
        if block is not None and (self._dialect.conclusion != "inside" or block.concluded):
            self.stray(tag)
        else:
            self._open.begin_part()
            self.state = "conclusion"

    def end_conclusion(self, tag: str) -> None:
        """The open conclusion closes, and its block where that is the same tag."""
        self._open.take_conclusion()
        if self._open.level.block is None:
            self._leave_block()
            return
        self.state = "branches"
        if tag == self._dialect.tags.block_close:
            self.close_block(tag)

    def miss_conclusion(self, offset: int) -> None:
        """At `offset` something else stands than the conclusion that must follow."""
        self._open.say_no_conclusion(offset)
        self._leave_block()

    def text_after(self, text: str) -> None:
        """Text behind a block whose conclusion must follow: only white space may come between."""
        blank = len(text) - len(text.lstrip())
        self._open.text(text[:blank], self._open.at)
        if blank < len(text):
            self.miss_conclusion(self._open.at + blank)
            self._open.text(text[blank:], self._open.at + blank)

    # Strays

    def stray(self, tag: str, *, crossed: bool = False) -> None:
        """A tag that does not fit is text."""
        if crossed or tag == self._implied:
            self._open.say(verdicts.CROSSED_TAG, self._open.at, f"{tag} closes out of turn")
        elif not self._open.level.literal:
            self._open.say(verdicts.STRAY_TAG, self._open.at, f"{tag} does not belong here")
        if self.state == "outline":
            self._open.gather_outline(tag)
        elif self.state == "conclusion":
            self._open.gather(tag)
        else:
            self._open.text(tag, self._open.at)

    def stray_text(self, text: str) -> None:
        """Text where only tags belong: white space is nothing; more is a verdict, unless there was no fork."""
        if text.isspace() and not self.noticed:
            return
        self._open.stray_text(text, first=not self.noticed)
        self.noticed = True
