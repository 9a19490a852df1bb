"""What is open in a text: levels of blocks and branches, and the part of a block that is being gathered.

Every method says the events, and the verdicts, of one thing that opens or ends; when that happens is decided in
`states`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from apr_agents.dialects import verdicts
from apr_agents.dialects.dialect import Dialect
from apr_agents.dialects.gathered import Gathered
from apr_agents.dialects.limits import ParserLimits
from apr_agents.dialects.outlines import HEAD, Fault, Plan, read_head
from apr_agents.events import (
    BranchClosed,
    BranchOpened,
    Closed,
    Concluded,
    Event,
    Fork,
    Opened,
    Outline,
    Outlined,
    Text,
    Verdict,
)
from apr_agents.paths import BranchPath


@dataclass(slots=True)
class Block:
    """An open block."""

    number: int
    offset: int
    plan: Plan
    outlines_at: int = 0
    planned: bool = False
    """Whether the dialect's moment of the fork has come, with or without outlines that can be used."""
    forked: bool = False
    concluded: bool = False
    branches: int = 0
    seen: set[str] = field(default_factory=set[str])
    """Numbers of its branches."""


@dataclass(slots=True)
class Level:
    """The run's text or a branch's, and the block that is open in it."""

    step: tuple[int, int]
    """Its block and branch, as in a branch path; (0, 0) for the text itself."""
    offset: int
    blocks: int = 0
    block: Block | None = None
    literal: int = 0
    """Blocks open in it that nest too deep: their tags are text."""

    @property
    def opened(self) -> Block:
        """Its block, asked for where one is open only."""
        assert self.block is not None  # noqa: S101  # between a block's tags, and around its branches, it is open
        return self.block


class Structure:
    """The open levels and the events that they made. `at` is the offset of what comes next; the parser moves it on."""

    def __init__(self, dialect: Dialect, limits: ParserLimits, depth: int, offset: int) -> None:
        self.at = offset
        self.events: list[Event] = []
        self.levels = [Level((0, 0), offset)]
        self._dialect = dialect
        self._limits = limits
        self._depth = depth
        self._deepest = limits.depth if dialect.nests else 1
        self._gathered = Gathered()
        self._part_at = offset
        """Where the tag stands that opened what is gathered: an outline, a branch's head or a conclusion."""

    @property
    def level(self) -> Level:
        return self.levels[-1]

    @property
    def block(self) -> Block:
        """The open block; asked for between its tags only."""
        return self.level.opened

    def say(self, kind: str, offset: int, detail: str, *, repaired: bool = False) -> None:
        path = str(BranchPath(tuple(level.step for level in self.levels[1:]))) if len(self.levels) > 1 else ""
        self.events.append(Verdict(kind, offset, path, detail, repaired))

    def _say_faults(self, faults: Iterable[Fault], offset: int) -> None:
        for fault in faults:
            self.say(fault.kind, offset, fault.detail, repaired=fault.repaired)

    def text(self, text: str, offset: int) -> None:
        if text:
            self.events.append(Text(text, offset))

    def stray_text(self, text: str, *, first: bool) -> None:
        """Text where only tags belong; the first of a stretch has a verdict, unless there was no fork."""
        blank = len(text) - len(text.lstrip()) if first else 0
        block = self.level.block
        if first and not (block is not None and block.planned and not block.forked):
            self.say(verdicts.STRAY_TEXT, self.at + blank, "only tags belong here", repaired=True)
        self.text(text[blank:], self.at + blank)

    def take(self) -> list[Event]:
        """The events since the last call."""
        events, self.events = self.events, []
        return events

    # Blocks

    def open_block(self) -> bool:
        """Open a block, unless it would nest too deep."""
        level = self.level
        if self._depth + len(self.levels) > self._deepest:
            self.say(verdicts.NESTED_TOO_DEEP, self.at, f"blocks go {self._deepest} deep at most")
            level.literal += 1
            return False
        level.blocks += 1
        cap = min(self._limits.outlines, self._dialect.max_outlines or self._limits.outlines)
        level.block = Block(level.blocks, self.at, Plan(self._dialect, cap))
        self.events.append(Opened(self.at))
        return True

    def fork(self) -> None:
        """The moment of the fork: of the block's outlines, or of as many branches as the dialect says."""
        block, plan = self.block, self.block.plan
        outlines = tuple(plan.outlines)
        if self._dialect.fork_at == "block_open":
            first = self._dialect.first_number
            outlines = tuple(Outline(str(first + more), "", self.at) for more in range(self._dialect.branches or 0))
        block.planned, block.forked = True, bool(outlines)
        if outlines:
            self.events.append(Fork(outlines, self.at, tuple(plan.refused)))
        else:
            self.say(verdicts.NO_OUTLINES, block.offset, "the block has no outline that can be used")

    def join(self) -> None:
        """The client put a branch for each outline behind the fork."""
        block = self.block
        block.branches = max(len(block.plan.outlines), 1)
        block.seen = set(block.plan.numbers)

    def close_block(self) -> None:
        """The open block ends by its tag."""
        block = self.block
        if not block.branches and not block.plan.numbers and (block.forked or not block.planned):
            kind = verdicts.NO_BRANCHES if block.forked else verdicts.NO_OUTLINES
            self.say(kind, block.offset, "the block is empty")
        self._say_unmatched(block)
        if self._dialect.conclusion == "inside" and not block.concluded:
            self.say_no_conclusion(self.at)
        self._end_block()

    def break_block(self, *, repaired: bool) -> None:
        """The open block ends without its tag."""
        block = self.block
        self.say(verdicts.UNCLOSED_BLOCK, block.offset, "a block opens here and does not close", repaired=repaired)
        if block.planned:
            self._say_unmatched(block)
        self._end_block()

    def _end_block(self) -> None:
        self.level.block = None
        self.events.append(Closed(self.at))

    def _say_unmatched(self, block: Block) -> None:
        for outline in block.plan.outlines:
            if outline.number not in block.seen:
                self.say(verdicts.OUTLINE_WITHOUT_BRANCH, outline.offset, f"no branch is numbered {outline.number}")

    # Parts of a block: outlines, heads of branches, conclusions

    def begin_part(self) -> None:
        self._part_at = self.at
        self._gathered = Gathered()

    def gather(self, text: str) -> None:
        self._gathered.add(text)

    def gather_outline(self, text: str) -> None:
        """Gather as much as an outline may have, and one character more where there is more."""
        longest = self._limits.outline
        room = longest + 1 - self._gathered.length
        if room > 0:
            self._gathered.add(text[:room])
            if self._gathered.length > longest:
                self.say(verdicts.OUTLINE_TOO_LONG, self._part_at, f"an outline has at most {longest} characters")

    def take_outline(self) -> None:
        """What is gathered is an outline: say it, if it can be used."""
        if self._gathered.length > self._limits.outline:
            return
        outline, faults = self.block.plan.add(self._gathered.text, self._part_at)
        self._say_faults(faults, self._part_at)
        if outline is not None:
            self.events.append(Outlined(outline))

    def take_conclusion(self) -> None:
        """What is gathered is a conclusion."""
        self.events.append(Concluded(self._gathered.text.strip(), self._part_at))
        if self.level.block is not None:
            self.level.block.concluded = True

    def say_unclosed(self, kind: str, what: str, *, repaired: bool) -> None:
        """The part that is gathered has no closing tag."""
        self.say(kind, self._part_at, f"{what} opens here and does not close", repaired=repaired)

    def say_no_conclusion(self, offset: int) -> None:
        self.say(verdicts.NO_CONCLUSION, offset, "the block has no conclusion", repaired=True)

    # Branches

    def open_branch(self) -> bool:
        """Open a branch of the open block; whether its number is to follow."""
        block = self.block
        block.branches += 1
        self.levels.append(Level((block.number, block.branches), self.at))
        if block.branches > self._limits.outlines:
            self.say(verdicts.TOO_MANY_BRANCHES, self.at, f"a block has at most {self._limits.outlines} branches")
        if self._dialect.tags.outline_open is None:
            self.events.append(BranchOpened(None, self.at))
            return False
        self.begin_part()
        return True

    def head_is_whole(self) -> bool:
        """Whether what is gathered holds a branch's number, or is too long to hold one."""
        return self._gathered.length >= HEAD or ":" in self._gathered.text

    def take_head(self, end: int) -> None:
        """What is gathered, up to `end`, begins a branch: say it, and its text behind the number's colon."""
        gathered = self._gathered.text
        head = read_head(gathered[:HEAD], self._dialect)
        number, offset = head.number, self.level.offset
        self.events.append(BranchOpened(number, offset))
        block = self.levels[-2].opened
        if number is None:
            self._say_faults(head.faults, offset)
        elif number in block.seen:
            self.say(verdicts.DUPLICATE_NUMBER, offset, f"there is a branch {number} already")
        elif number not in block.plan.numbers:
            self.say(verdicts.BRANCH_WITHOUT_OUTLINE, offset, f"no outline is numbered {number}")
        if number is not None:
            block.seen.add(number)
        rest = head.rest + gathered[HEAD:]
        self.text(rest, end - len(rest))

    def end_branch(self) -> None:
        """The innermost branch ends."""
        self.levels.pop()
        self.events.append(BranchClosed(self.at))

    def break_branch(self, *, repaired: bool) -> None:
        """The innermost branch ends without its tag."""
        what = "a branch opens here and does not close"
        self.say(verdicts.UNCLOSED_BRANCH, self.level.offset, what, repaired=repaired)
        self.end_branch()
