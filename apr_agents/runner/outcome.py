"""What a branch brings back: text and facts, as plain data that can be stored and replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from apr_agents.context import Context, Origin, Segment
from apr_agents.errors import ContextError
from apr_agents.plain import from_plain, to_plain
from apr_agents.runner.spent import requests_of, retries_of, tokens_of
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
        return tokens_of(self.spans)

    @property
    def retries(self) -> int:
        """Requests that were sent again, nested branches included."""
        return retries_of(self.spans)

    @property
    def requests(self) -> int:
        """Engine requests, each counted once however often it was sent, nested branches included."""
        return requests_of(self.spans)

    def context(self, start: Context) -> Context:
        """The context of this branch, grown from its start."""
        return start.extend(*self.segments)

    def evaluated(self, start: Context) -> Context | None:
        """Its context as far as an engine gave it: but for the last token, that much was evaluated. None: nothing."""
        generated = [place for place, segment in enumerate(self.segments) if segment.origin is Origin.generated]
        return start.extend(*self.segments[: generated[-1] + 1]) if generated else None

    def joined(self) -> Outcome:
        return replace(self, branch=replace(self.branch, joined=True))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, the segments with their digests."""
        return {**to_plain(replace(self, segments=())), "segments": [segment.to_json() for segment in self.segments]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """The inverse. Raises ContextError when a segment was altered, or when this is no outcome."""
        try:
            segments = tuple(Segment.from_json(segment) for segment in data["segments"])
        except (KeyError, TypeError) as error:
            raise ContextError(f"not a stored outcome: {error!r}") from error
        return replace(from_plain(cls, {**data, "segments": []}, "outcome"), segments=segments)
