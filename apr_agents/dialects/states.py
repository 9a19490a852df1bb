"""What each tag does: the states of a text that holds blocks, whose branches are texts that hold blocks.

The table in `_ways` has what fits; any other tag is stray. What happens on a way is in `transitions`. A block's opening
tag outside of a branch always begins a block: what was open before it was not closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from apr_agents.dialects import verdicts
from apr_agents.dialects.dialect import Dialect, Tags
from apr_agents.dialects.limits import ParserLimits
from apr_agents.dialects.structure import Structure
from apr_agents.dialects.transitions import State, Transitions
from apr_agents.events import BranchClosed, Verdict

Way = Callable[[Transitions, str], None]


@cache
def _ways(tags: Tags) -> Mapping[State, Mapping[str | None, Way]]:
    """What each tag does in each state. Where two tags are one text, the later line counts."""
    in_block: dict[str | None, Way] = {
        tags.branch_open: Transitions.open_branch,
        tags.block_close: Transitions.close_block,
        tags.block_open: Transitions.reopen,
    }
    return {
        "text": {
            tags.branch_open: Transitions.next_branch,
            tags.branch_close: Transitions.close_branch,
            tags.block_close: Transitions.cross_block,
            tags.block_open: Transitions.open_block,
        },
        "block": {
            **in_block,
            tags.outlines_open: Transitions.begin_outlines,
            tags.outline_open: Transitions.begin_unopened,
            tags.outlines_close: Transitions.end_outlines,
        },
        "outlines": {
            **in_block,
            tags.outline_open: Transitions.begin_outline,
            tags.outlines_close: Transitions.end_outlines,
        },
        "outline": {
            **in_block,
            tags.outline_open: Transitions.next_outline,
            tags.outline_close: Transitions.end_outline,
            tags.outlines_close: Transitions.cross_outlines,
        },
        "branches": {**in_block, tags.conclusion_open: Transitions.begin_conclusion},
        "conclusion": {
            tags.block_open: Transitions.reopen,
            tags.block_close: Transitions.close_block,
            tags.conclusion_close: Transitions.end_conclusion,
        },
        "after": {tags.conclusion_open: Transitions.begin_conclusion},
        "ended": dict.fromkeys(tags.roles(), Transitions.stray_text),
    }


class States:
    """Takes tags and text in their order, and turns them into events."""

    def __init__(self, opened: Structure, dialect: Dialect, limits: ParserLimits, *, inside_branch: bool) -> None:
        self.now = Transitions(opened, dialect, limits, inside_branch=inside_branch)
        """The state, which the ways from it change."""
        self._open = opened
        self._limits = limits
        self._inside_branch = inside_branch
        self._conclusion_open = dialect.tags.conclusion_open
        self._table = _ways(dialect.tags)

    @property
    def ended(self) -> bool:
        """Whether the branch that is the whole text has ended."""
        return self.now.state == "ended"

    @property
    def forked(self) -> bool:
        """Whether a fork was said and no branch has come since."""
        return self.now.state == "branches" and self._open.block.forked and not self._open.block.branches

    def tag(self, tag: str) -> None:
        """Take a tag that stands at `at`."""
        now = self.now
        if now.state == "head":
            now.end_head(self._open.at)
        if now.state == "after" and tag != self._conclusion_open:
            now.miss_conclusion(self._open.at)
        self._table[now.state].get(tag, Transitions.stray)(now, tag)
        if now.state != "ended":
            now.noticed = False

    def text(self, text: str) -> None:
        """Take text, not empty, that stands at `at`."""
        state = self.now.state
        if state == "text":
            self._open.text(text, self._open.at)
        elif state == "outline":
            self._open.gather_outline(text)
        elif state == "conclusion":
            self._open.gather(text)
        elif state == "head":
            self._open.gather(text)
            if self._open.head_is_whole():
                self.now.end_head(self._open.at + len(text))
        elif state == "after":
            self.now.text_after(text)
        else:
            self.now.stray_text(text)

    def join(self) -> None:
        """The client put a branch for each outline behind the fork."""
        self._open.join()
        self.now.noticed = False

    def overflow(self) -> None:
        """The open block has reached its limit: it ends here, and what follows is plain text."""
        now = self.now
        if now.state == "head":
            now.end_head(self._open.at)
        most = self._limits.block
        self._open.say(verdicts.BLOCK_TOO_LARGE, now.limit_at, f"a block has at most {most} characters")
        one = len(self._open.events)
        now.end_all()
        self._open.events[one:] = [event for event in self._open.events[one:] if not isinstance(event, Verdict)]

    def end_of_text(self) -> None:
        """Close what is open, from the innermost outwards, each with its verdict."""
        now = self.now
        if now.state == "head":
            now.end_head(self._open.at)
        if now.state == "after":
            now.miss_conclusion(self._open.at)
        if self.ended:
            return
        now.end_all()
        if self._inside_branch:
            self._open.say(verdicts.UNCLOSED_BRANCH, self._open.level.offset, "the text ends before its branch does")
            self._open.events.append(BranchClosed(self._open.at))
