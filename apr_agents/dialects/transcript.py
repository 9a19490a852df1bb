"""A stored transcript as a tree: its blocks, their branches, the blocks in these, and everything malformed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from apr_agents.dialects.chat import answer_start
from apr_agents.dialects.dialect import Dialect
from apr_agents.dialects.limits import DEFAULTS, ParserLimits
from apr_agents.dialects.parser import Parser
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

_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Branch:
    """One branch as it stands in the text. Offsets count characters from the start of the file."""

    path: str
    """By its place: the text's own count of blocks and branches."""
    number: str | None
    """As written; None in dialects without numbers, and where it is malformed."""
    outline: str | None
    """The text of the outline with its number."""
    text: str
    """Its own text, without that of blocks inside it."""
    offset: int
    end: int
    """Where its closing tag stands, or where it ended without one."""
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One block as it stands in the text."""

    offset: int
    end: int
    """Where its closing tag stands, or where it ended without one."""
    outlines: tuple[Outline, ...]
    """Those that can be used, and those over the cap."""
    branches: tuple[Branch, ...]
    conclusion: str | None


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a text holds."""

    start: int
    """Where the answer begins, behind a chat prompt."""
    blocks: tuple[Block, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def all_blocks(self) -> Iterator[Block]:
        """Every block, each before those inside it."""
        waiting = list(reversed(self.blocks))
        while waiting:
            block = waiting.pop()
            yield block
            inner = [deeper for branch in block.branches for deeper in branch.blocks]
            waiting.extend(reversed(inner))

    @property
    def blocks_total(self) -> int:
        return sum(1 for _ in self.all_blocks)

    @property
    def branches_total(self) -> int:
        return sum(len(block.branches) for block in self.all_blocks)


def parse(text: str, dialect: Dialect, limits: ParserLimits = DEFAULTS) -> Transcript:
    """The tree of this text. Raises DialectError for a dialect that does not run."""
    start = answer_start(text)
    parser = Parser(dialect, limits, offset=start)
    builder = _Builder()
    for at in range(start, len(text), _PIECE):
        builder.take(parser.feed(text[at : at + _PIECE]))
    builder.take(parser.close())
    return Transcript(start, tuple(builder.levels[0].blocks), tuple(builder.verdicts))


@dataclass(slots=True)
class _OpenBlock:
    offset: int
    outlines: dict[str, Outline] = field(default_factory=dict[str, Outline])
    """By number."""
    branches: list[Branch] = field(default_factory=list[Branch])
    conclusion: str | None = None


@dataclass(slots=True)
class _Level:
    """The answer's own text, or a branch's."""

    path: BranchPath
    number: str | None
    offset: int
    pieces: list[str] = field(default_factory=list[str])
    blocks: list[Block] = field(default_factory=list[Block])
    open: _OpenBlock | None = None


class _Builder:
    """Puts events together. Every opening event has its closing one, so the innermost open thing is what is meant."""

    def __init__(self) -> None:
        self.levels = [_Level(BranchPath(), None, 0)]
        self.verdicts: list[Verdict] = []

    def take(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Text):
                self._text(event.text)
            elif isinstance(event, Verdict):
                self.verdicts.append(event)
            else:
                self._build(event)

    def _build(self, event: Opened | Outlined | Fork | BranchOpened | BranchClosed | Concluded | Closed) -> None:
        match event:
            case Opened():
                self.levels[-1].open = _OpenBlock(event.offset)
            case Outlined():
                self._block.outlines[event.outline.number] = event.outline
            case Fork():
                self._block.outlines |= {outline.number: outline for outline in event.refused}
            case BranchOpened():
                self._open_branch(event)
            case BranchClosed():
                self._close_branch(event.offset)
            case Concluded():
                self._conclude(event.text)
            case Closed():
                self._close_block(event.offset)

    @property
    def _block(self) -> _OpenBlock:
        block = self.levels[-1].open
        assert block is not None  # noqa: S101  # the parser says Opened first
        return block

    def _text(self, text: str) -> None:
        """Text of a branch; that of the answer itself, and strays between a block's tags, are in no tree."""
        level = self.levels[-1]
        if len(self.levels) > 1 and level.open is None:
            level.pieces.append(text)

    def _open_branch(self, event: BranchOpened) -> None:
        level = self.levels[-1]
        path = level.path.child(len(level.blocks) + 1, len(self._block.branches) + 1)
        self.levels.append(_Level(path, event.number, event.offset))

    def _close_branch(self, end: int) -> None:
        done = self.levels.pop()
        block = self._block
        named = block.outlines.get(done.number or "")
        outline, text, blocks = named.text if named else None, "".join(done.pieces), tuple(done.blocks)
        block.branches.append(Branch(str(done.path), done.number, outline, text, done.offset, end, blocks))

    def _conclude(self, text: str) -> None:
        """A conclusion inside its block, or right behind it."""
        level = self.levels[-1]
        if level.open is not None:
            level.open.conclusion = text
        else:
            last = level.blocks[-1]
            level.blocks[-1] = Block(last.offset, last.end, last.outlines, last.branches, text)

    def _close_block(self, end: int) -> None:
        level, done = self.levels[-1], self._block
        level.blocks.append(
            Block(done.offset, end, tuple(done.outlines.values()), tuple(done.branches), done.conclusion)
        )
        level.open = None
