"""What the parser says of a text. Values only; offsets count characters from the start of the text that was fed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outline:
    """The line that names a branch."""

    number: str
    """As written, such as `2` or `1.2`."""
    text: str
    """What follows the number's colon, stripped."""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Something malformed, and where."""

    kind: str
    """One of `VERDICTS` in `apr_agents.dialects.verdicts`."""
    offset: int
    path: str
    """The branch path of the place, in the text's own count of blocks and branches; `""` outside of branches."""
    detail: str
    repaired: bool = False
    """Whether the parser could go on as if it were well formed."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text outside of blocks, inside a branch, or where a block has room for tags only; never a tag that counts."""

    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A block opened."""

    offset: int


@dataclass(frozen=True, slots=True)
class Outlined:
    """One outline is complete; a call in it may start now."""

    outline: Outline


@dataclass(frozen=True, slots=True)
class Fork:
    """The block's outlines are complete: its branches may start. Without outlines, as many as the dialect has."""

    outlines: tuple[Outline, ...]
    offset: int
    """Of the tag that is the dialect's moment of the fork."""
    refused: tuple[Outline, ...] = ()
    """Outlines over the cap of a block, each with its verdict: never started, named so that they can be outcomes."""


@dataclass(frozen=True, slots=True)
class BranchOpened:
    """A branch opened, in a text that holds its branches."""

    number: str | None
    """None in dialects whose branches are anonymous, and where it is malformed."""
    offset: int


@dataclass(frozen=True, slots=True)
class BranchClosed:
    """The latest open branch ended, by its tag or by what a verdict says."""

    offset: int


@dataclass(frozen=True, slots=True)
class Concluded:
    """A conclusion is complete."""

    text: str
    """Stripped."""
    offset: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The latest open block ended, by its tag, by the client's or by what a verdict says."""

    offset: int


Event = Text | Opened | Outlined | Fork | BranchOpened | BranchClosed | Concluded | Closed | Verdict
