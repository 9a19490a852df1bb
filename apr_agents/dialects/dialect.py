"""A dialect: the control tags of one family of models and how client text is glued around them, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Tags:
    """The control tags. `{n}` in a tag stands for a branch's number; None: the dialect has no such tag.

    Two tags may be the same text: Native Parallel Reasoner opens its block and its outlines with one tag.
    """

    block_open: str | None
    block_close: str | None
    outlines_open: str | None
    outlines_close: str | None
    outline_open: str | None
    outline_close: str | None
    branch_open: str
    """Empty, as the closing tag then is: a branch is a text of its own, without tags (APR)."""
    branch_close: str
    conclusion_open: str | None = None
    conclusion_close: str | None = None
    join: str | None = None
    """Where the model itself asks for one branch's result (AsyncThink); None: a block joins as a whole."""

    def roles(self) -> Mapping[str, str]:
        """Each tag that there is, to the first field above that names it."""
        return _roles(self)


@cache
def _roles(tags: Tags) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for field in fields(tags):
        tag = getattr(tags, field.name)
        if tag:
            found.setdefault(tag, field.name)
    return MappingProxyType(found)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One family's way to write a block; see the files in `data/` for those that are shipped."""

    name: str
    source: str
    """The paper or code that this follows, with its section or file."""
    tags: Tags
    branch_header: str
    """What the client writes to start branch `{n}` (`{outline}`: its outline, where children see only that)."""
    join_header: str
    """What stands before branch `{n}`'s text in the joined context, for branches after the first."""
    join_tail: str
    """What the client writes behind the last joined branch; the model goes on from there."""
    fork_at: Literal["outlines_close", "block_open", "start", "outline_close"] = "outlines_close"
    """The moment of the fork: after the outlines, at the block's start, before any text, or at each outline."""
    closed_by: Literal["client", "model"] = "client"
    """Who writes the block's closing tag."""
    truncated: Literal["close", "end"] = "close"
    """A branch that stops without its closing tag: close it and go on, or close it and end the run."""
    branches: int | None = None
    """How many branches a block has when no outlines say so; None: one per outline."""
    first_number: int = 1
    number_pattern: str = r"[0-9]+(?:\.[0-9]+)*"
    """How an outline's number is written, before its colon."""
    max_outlines: int | None = None
    """The dialect's own cap per block; None: only the budget's."""
    nests: bool = False
    """Whether a branch may open a block."""
    conclusion: Literal["none", "inside", "after"] = "none"
    """Whether the model writes a conclusion, and whether before or after the block's closing tag."""
    child_sees: Literal["context", "outline"] = "context"
    """What a branch grows from: the parent's context, or its own outline alone."""
    join_shows: Literal["branches", "results"] = "branches"
    """What the joined context holds: outlines and whole branches, or results in place of the outlines."""
    outline: str = "{n}: {outline}"
    """What stands in an outline's tags, where the caller gives the outlines and the client writes them."""
    teach: str | None = None
    """The system prompt that teaches the dialect to a model which was not trained on it."""

    @property
    def runs(self) -> bool:
        """Whether the driver runs it; the others load and can be looked at."""
        return self.fork_at != "outline_close" and self.child_sees == "context" and not self.tags.join

    @property
    def reads(self) -> bool:
        """Whether a model that writes it opens blocks by itself, so that there is something to parse."""
        return self.runs and self.fork_at != "start"

    @property
    def ends_at(self) -> str | None:
        """The tag that ends a run; None: only the model's own end of text does."""
        return self.tags.conclusion_close if self.fork_at == "start" else None

    def closing(self, number: str) -> str:
        """The tag that closes branch `number`."""
        return self.tags.branch_close.replace("{n}", number)

    @property
    def fork_tag(self) -> str | None:
        """The tag at which the engine stops for a fork; None when a fork is not bound to a fixed tag."""
        if self.fork_at == "outlines_close":
            return self.tags.outlines_close
        return self.tags.block_open if self.fork_at == "block_open" else None
