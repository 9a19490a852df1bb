"""What a branch brings back: text and facts, as plain data that can be stored and replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from apr_agents.context import Context, Segment
from apr_agents.trace import Block, Branch, Span


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one branch ended. A branch that fails is an outcome too."""

    branch: Branch
    text: str
    """What it wrote behind its header, closing tag and nested branches included."""
    segments: tuple[Segment, ...]
    """The same, exactly: what the joined context takes."""
    spans: tuple[Span, ...] = ()
    """Its own and those of the branches inside it, predecessors first."""
    blocks: tuple[Block, ...] = ()
    """Of the blocks inside it."""
    branches: tuple[Branch, ...] = ()
    """Of the branches inside it."""
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, its closing tag or its result there."""
        return self.branch.outcome == "done"

    @property
    def tokens(self) -> int:
        """Generated tokens, nested branches included."""
        return sum(span.tokens.generated for span in self.spans if span.tokens)

    def context(self, start: Context) -> Context:
        """The context of this branch, grown from its start."""
        return start.extend(*self.segments)

    def joined(self) -> Outcome:
        return replace(self, branch=replace(self.branch, joined=True))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, the segments with their digests."""
        from pydantic import TypeAdapter

        facts = TypeAdapter(Outcome).dump_python(replace(self, segments=()), mode="json")
        return {**facts, "segments": [segment.to_json() for segment in self.segments]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """The inverse. Raises ContextError when a segment was altered."""
        from pydantic import TypeAdapter

        segments = tuple(Segment.from_json(segment) for segment in data["segments"])
        return replace(TypeAdapter(Outcome).validate_python({**data, "segments": []}), segments=segments)
