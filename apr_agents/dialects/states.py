"""What each tag does: the states of a text that holds blocks, whose branches are texts that hold blocks.

Rule: everything that changes the state is in this file. The table in `_actions` has what fits; any other tag is stray.
A block's opening tag outside of a branch always begins a block: what was open before it was not closed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Literal

from apr_agents.dialects import verdicts
from apr_agents.dialects.dialect import Dialect, Tags
from apr_agents.dialects.limits import ParserLimits
from apr_agents.dialects.structure import Structure
from apr_agents.events import BranchClosed, Verdict

State = Literal["text", "block", "outlines", "outline", "branches", "head", "conclusion", "after", "ended"]
"""`block`: open, before its outlines. `head`: in a branch, before its number's colon. `after`: behind a block whose
conclusion must follow. `ended`: behind the end of the branch that is the whole text."""

Action = Callable[["States", str], None]
_NO_LIMIT = sys.maxsize


class States:
    """Takes tags and text in their order, and turns them into events."""

    def __init__(self, opened: Structure, dialect: Dialect, limits: ParserLimits, *, inside_branch: bool) -> None:
        self.limit_at = _NO_LIMIT
        """Where the outermost open block would be too large."""
        self._open = opened
        self._state: State = "text"
        self._dialect = dialect
        self._limits = limits
        self._inside_branch = inside_branch
        self._implied: str | None = None
        """The closing tag that a repair took for granted, until the next block opens."""
        self._noticed = False
        """Whether this stretch of stray text has its verdict."""
        self._table = self._actions(dialect.tags)

    @staticmethod
    @cache
    def _actions(tags: Tags) -> Mapping[State, Mapping[str | None, Action]]:
        """What each tag does in each state. Where two tags are one text, the later line counts."""
        in_block: dict[str | None, Action] = {
            tags.branch_open: States._open_branch,
            tags.block_close: States._close_block,
            tags.block_open: States._reopen,
        }
        return {
            "text": {
                tags.branch_open: States._next_branch,
                tags.branch_close: States._close_branch,
                tags.block_close: States._cross_block,
                tags.block_open: States._open_block,
            },
            "block": {
                **in_block,
                tags.outlines_open: States._begin_outlines,
                tags.outline_open: States._begin_unopened,
                tags.outlines_close: States._end_outlines,
            },
            "outlines": {
                **in_block,
                tags.outline_open: States._begin_outline,
                tags.outlines_close: States._end_outlines,
            },
            "outline": {
                **in_block,
                tags.outline_open: States._next_outline,
                tags.outline_close: States._end_outline,
                tags.outlines_close: States._cross_outlines,
            },
            "branches": {**in_block, tags.conclusion_open: States._begin_conclusion},
            "conclusion": {
                tags.block_open: States._reopen,
                tags.block_close: States._close_block,
                tags.conclusion_close: States._end_conclusion,
            },
            "after": {tags.conclusion_open: States._begin_conclusion},
            "ended": dict.fromkeys(tags.roles(), States._stray_text),
        }

    # What the parser asks and tells

    @property
    def ended(self) -> bool:
        """Whether the branch that is the whole text has ended."""
        return self._state == "ended"

    @property
    def forked(self) -> bool:
        """Whether a fork was said and no branch has come since."""
        return self._state == "branches" and self._open.block.forked and not self._open.block.branches

    def tag(self, tag: str) -> None:
        """Take a tag that stands at `at`."""
        if self._state == "head":
            self._end_head(self._open.at)
        if self._state == "after" and tag != self._dialect.tags.conclusion_open:
            self._miss_conclusion(self._open.at)
        self._table[self._state].get(tag, States._stray)(self, tag)
        if self._state != "ended":
            self._noticed = False

    def text(self, text: str) -> None:
        """Take text, not empty, that stands at `at`."""
        state = self._state
        if state == "text":
            self._open.text(text, self._open.at)
        elif state == "outline":
            self._open.gather_outline(text)
        elif state == "conclusion":
            self._open.gather(text)
        elif state == "head":
            self._open.gather(text)
            if self._open.head_is_whole():
                self._end_head(self._open.at + len(text))
        elif state == "after":
            self._text_after(text)
        else:
            self._stray_text(text)

    def join(self) -> None:
        """The client put a branch for each outline behind the fork."""
        self._open.join()
        self._noticed = False

    def overflow(self) -> None:
        """The open block has reached its limit: it ends here, and what follows is plain text."""
        if self._state == "head":
            self._end_head(self._open.at)
        most = self._limits.block
        self._open.say(verdicts.BLOCK_TOO_LARGE, self.limit_at, f"a block has at most {most} characters")
        one = len(self._open.events)
        self._end_all()
        self._open.events[one:] = [event for event in self._open.events[one:] if not isinstance(event, Verdict)]

    def end_of_text(self) -> None:
        """Close what is open, from the innermost outwards, each with its verdict."""
        if self._state == "head":
            self._end_head(self._open.at)
        if self._state == "after":
            self._miss_conclusion(self._open.at)
        if self.ended:
            return
        self._end_all()
        if self._inside_branch:
            self._open.say(verdicts.UNCLOSED_BRANCH, self._open.level.offset, "the text ends before its branch does")
            self._open.events.append(BranchClosed(self._open.at))

    # Blocks

    def _open_block(self, tag: str) -> None:
        opened = self._open
        if not opened.open_block():
            opened.text(tag, self._open.at)
            return
        self._implied = None
        if len(opened.levels) == 1:
            self.limit_at = self._open.at + self._limits.block
        if self._dialect.fork_at == "block_open":
            opened.fork()
            self._state = "branches"
        elif self._dialect.tags.outlines_open == tag:
            self._begin_outlines(tag)
        else:
            self._state = "block"

    def _reopen(self, tag: str) -> None:
        """A block opens in a block, outside of its branches: the first was not closed."""
        self._end_part(kept=False)
        if self._open.level.block is not None:
            self._open.break_block(repaired=True)
        self._open_block(tag)

    def _close_block(self, tag: str) -> None:
        if self._open.level.block is None:
            self._stray(tag)
            return
        self._end_part(kept=True)
        self._open.close_block()
        if self._dialect.conclusion == "after":
            self._state = "after"
        else:
            self._leave_block()

    def _leave_block(self) -> None:
        self._state = "text"
        if len(self._open.levels) == 1:
            self.limit_at = _NO_LIMIT

    def _end_part(self, *, kept: bool) -> None:
        """End the outline, outlines or conclusion that is open where something else begins; `kept`: its text counts."""
        opened = self._open
        if self._state == "outline":
            opened.say_unclosed(verdicts.UNCLOSED_OUTLINE, "an outline", repaired=kept)
            if kept:
                opened.take_outline()
        if self._state in ("outline", "outlines"):
            opened.say(verdicts.UNCLOSED_OUTLINES, opened.block.outlines_at, "outlines open here and do not close")
        elif self._state == "conclusion":
            opened.say_unclosed(verdicts.UNCLOSED_CONCLUSION, "a conclusion", repaired=kept)
            opened.take_conclusion()

    def _end_all(self) -> None:
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

    def _begin_outlines(self, tag: str) -> None:
        self._open.block.outlines_at = self._open.at
        self._state = "outlines"

    def _begin_unopened(self, tag: str) -> None:
        self._open.say(
            verdicts.UNOPENED_OUTLINES, self._open.at, "an outline stands before the outlines", repaired=True
        )
        self._begin_outlines(tag)
        self._begin_outline(tag)

    def _begin_outline(self, tag: str) -> None:
        self._open.begin_part()
        self._state = "outline"

    def _end_outline(self, tag: str) -> None:
        self._open.take_outline()
        self._state = "outlines"

    def _break_outline(self) -> None:
        if self._dialect.tags.outline_close is not None:
            self._open.say_unclosed(verdicts.UNCLOSED_OUTLINE, "an outline", repaired=True)
        self._open.take_outline()

    def _next_outline(self, tag: str) -> None:
        """An outline opens in an outline."""
        self._break_outline()
        self._begin_outline(tag)

    def _cross_outlines(self, tag: str) -> None:
        """The outlines close while an outline is open."""
        self._break_outline()
        self._implied = self._dialect.tags.outline_close
        self._end_outlines(tag)

    def _end_outlines(self, tag: str) -> None:
        self._open.fork()
        self._state = "branches"

    # Branches

    def _open_branch(self, tag: str) -> None:
        self._end_part(kept=True)
        self._state = "head" if self._open.open_branch() else "text"

    def _end_head(self, end: int) -> None:
        self._open.take_head(end)
        self._state = "text"

    def _next_branch(self, tag: str) -> None:
        """A branch opens in a text: in that of a branch, which was not closed, or stray."""
        if len(self._open.levels) == 1 or self._open.level.literal:
            self._stray(tag)
        else:
            self._open.break_branch(repaired=True)
            self._state = "branches"
            self._open_branch(tag)

    def _close_branch(self, tag: str) -> None:
        if len(self._open.levels) > 1:
            self._open.end_branch()
            self._state = "branches"
        elif self._inside_branch:
            self._open.events.append(BranchClosed(self._open.at))
            self._state = "ended"
        else:
            self._stray(tag)

    def _cross_block(self, tag: str) -> None:
        """A block closes in a text: one that nests too deep, one around the branch that is open, or none."""
        level = self._open.level
        if level.literal:
            self._stray(tag)
            level.literal -= 1
        elif len(self._open.levels) > 1:
            self._open.break_branch(repaired=True)
            self._implied = self._dialect.tags.branch_close
            self._state = "branches"
            self._close_block(tag)
        else:
            self._stray(tag, crossed=self._inside_branch)

    # Conclusions

    def _begin_conclusion(self, tag: str) -> None:
        block = self._open.level.block
        if block is not None and (self._dialect.conclusion != "inside" or block.concluded):
            self._stray(tag)
        else:
            self._open.begin_part()
            self._state = "conclusion"

    def _end_conclusion(self, tag: str) -> None:
        self._open.take_conclusion()
        if self._open.level.block is None:
            self._leave_block()
            return
        self._state = "branches"
        if tag == self._dialect.tags.block_close:
            self._close_block(tag)

    def _miss_conclusion(self, offset: int) -> None:
        self._open.say_no_conclusion(offset)
        self._leave_block()

    def _text_after(self, text: str) -> None:
        """Text behind a block whose conclusion must follow: only white space may come between."""
        blank = len(text) - len(text.lstrip())
        self._open.text(text[:blank], self._open.at)
        if blank < len(text):
            self._miss_conclusion(self._open.at + blank)
            self._open.text(text[blank:], self._open.at + blank)

    # Strays

    def _stray(self, tag: str, *, crossed: bool = False) -> None:
        """A tag that does not fit is text."""
        if crossed or tag == self._implied:
            self._open.say(verdicts.CROSSED_TAG, self._open.at, f"{tag} closes out of turn")
        elif not self._open.level.literal:
            self._open.say(verdicts.STRAY_TAG, self._open.at, f"{tag} does not belong here")
        if self._state in ("outline", "conclusion"):
            self.text(tag)
        else:
            self._open.text(tag, self._open.at)

    def _stray_text(self, text: str) -> None:
        """Text where only tags belong: white space is nothing; more is a verdict, unless there was no fork."""
        if text.isspace() and not self._noticed:
            return
        self._open.stray_text(text, first=not self._noticed)
        self._noticed = True
