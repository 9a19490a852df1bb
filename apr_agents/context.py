"""The exact tokens of a run so far, as append-only segments that branches share.

A context is a chain from its newest segment to the prompt. Appending makes one link and copies nothing, so a
thousand branches of a long context cost their own segments only, and two contexts share a prefix exactly where they
share links. Ids are concatenated and never made again from text: encoding text again changes tokens at cut points.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from apr_agents.errors import ContextError


class Origin(StrEnum):
    """Who wrote a segment. Only generated text may open a block."""

    client = "client"
    """Prompt, template or user text."""
    generated = "generated"
    """Sampled by the engine in this run."""
    header = "header"
    """Glue that the dialect injects: branch headers, closing tags, the tail of a block."""
    branch = "branch"
    """What a branch brought back to its parent."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a context."""

    text: str
    """As a reader sees it, control tags included."""
    ids: tuple[int, ...] | None
    """Its exact tokens; None on engines that speak text only."""
    origin: Origin

    @property
    def digest(self) -> str:
        """128 bits over origin, text and ids, in hex."""
        exact = f"{self.origin}\0{self.text}\0{'' if self.ids is None else ','.join(map(str, self.ids))}"
        return hashlib.blake2b(exact.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def to_json(self) -> dict[str, object]:
        ids = None if self.ids is None else list(self.ids)
        return {"text": self.text, "ids": ids, "origin": self.origin.value, "digest": self.digest}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Segment:
        """The segment that `to_json` gave. Raises ContextError when it was altered since."""
        try:
            ids = cast("list[int] | None", data["ids"])
            segment = cls(str(data["text"]), None if ids is None else tuple(ids), Origin(str(data["origin"])))
        except (KeyError, TypeError, ValueError) as error:
            raise ContextError(f"not a stored segment: {error!r}") from error
        if segment.digest != data.get("digest"):
            raise ContextError(f"a stored segment was altered: {segment.text[:40]!r}")
        return segment


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """A chain of segments, newest first; two contexts are the same only if they are the same object."""

    segment: Segment
    parent: Context | None = None
    tokens: int = 0
    """Tokens from the start through this segment; 0 where the engine speaks text only."""

    @classmethod
    def of(cls, *segments: Segment) -> Context:
        """A context of these segments, of which there must be one at least."""
        first, *rest = segments
        context = cls(first, None, len(first.ids or ()))
        return context.extend(*rest)

    def extend(self, *segments: Segment) -> Context:
        """This context and then these segments; shares every link of this one."""
        context = self
        for segment in segments:
            context = Context(segment, context, context.tokens + len(segment.ids or ()))
        return context

    def links(self) -> Iterator[Context]:
        """This link, its parent, and so on to the prompt."""
        link: Context | None = self
        while link is not None:
            yield link
            link = link.parent

    def since(self, ancestor: Context | None) -> tuple[Segment, ...]:
        """The segments after `ancestor` (all for None), oldest first. Raises ContextError when it is no ancestor."""
        found: list[Segment] = []
        for link in self.links():
            if link is ancestor:
                return tuple(reversed(found))
            found.append(link.segment)
        if ancestor is not None:
            raise ContextError("a context was asked for what it has since one that it does not grow from")
        return tuple(reversed(found))

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All segments, oldest first."""
        return self.since(None)

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments)

    @property
    def ids(self) -> tuple[int, ...]:
        """All tokens, oldest first. Raises ContextError where a segment has text only."""
        return ids_of(self.segments)


def ids_of(segments: tuple[Segment, ...]) -> tuple[int, ...]:
    """The tokens of these segments in one tuple. Raises ContextError where one has text only."""
    ids: list[int] = []
    for segment in segments:
        if segment.ids is None:
            raise ContextError(f"a segment has no token ids: {segment.text[:40]!r}")
        ids.extend(segment.ids)
    return tuple(ids)
