"""What a run that can be resumed keeps inside its branches, and how it goes on from there.

A branch is kept as its outcome, by the spawner. The requests of a walk that may fork are kept here, one by one: what
the model wrote decides which branches there are, so it has to be the same text when the run is resumed. The calls by
steps of a workflow's branch are, too (`apr_agents.dsl.once`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from apr_agents.context import Segment
from apr_agents.engines.base import Finish
from apr_agents.errors import ContextError
from apr_agents.events import Fork
from apr_agents.plain import Json, from_plain, to_plain
from apr_agents.runner.spent import retries_of, tokens_of
from apr_agents.trace import Span


class Journal(Protocol):
    """Keeps pieces of a run by name. Names and their order are the same each time the run is resumed."""

    async def keep(self, name: str, work: Callable[[], Awaitable[Json]]) -> Json:
        """What `work` gave under this name: before the run was resumed, else now. What it raises is not kept."""
        ...

    async def seal(self) -> None:
        """Return when all that was kept so far is durable; a block's branches start behind this."""
        ...


@dataclass(frozen=True, slots=True)
class Piece:
    """One request of a walk, sent as often as it had to be, and what came of it; or a stretch of one, up to the outline
    of a call that starts there; or a block that the caller gave."""

    segment: Segment | None
    """What was generated; None: nothing."""
    finish: Finish | None
    """None: the request went on behind this stretch, or there was none."""
    spans: tuple[Span, ...]
    notes: tuple[str, ...]
    plan: str | None
    """The digest of the block that was opened, as far as it was planned; None: none was."""
    head: Span | None = None
    """The first span of a request in stretches, with what its engine told at the end."""

    @property
    def tokens(self) -> int:
        """Generated tokens, as charged."""
        return tokens_of(self.spans)

    @property
    def retries(self) -> int:
        """How many times the request was sent again."""
        return retries_of(self.spans)

    def to_json(self) -> Json:
        """Plain JSON values, the segment with its digest."""
        return {**to_plain(replace(self, segment=None)), "segment": self.segment.to_json() if self.segment else None}

    @classmethod
    def from_json(cls, data: Json) -> Piece:
        """The inverse. Raises ContextError when the segment was altered, or when this is no piece."""
        try:
            segment = None if data["segment"] is None else Segment.from_json(data["segment"])
        except (KeyError, TypeError) as error:
            raise ContextError(f"not a stored piece of decoding: {error!r}") from error
        return replace(from_plain(cls, {**data, "segment": None}, "piece of decoding"), segment=segment)


def digest_of(plan: Fork | None) -> str | None:
    """128 bits over the outlines of a plan, in hex; None for none."""
    if plan is None:
        return None
    exact = "\0".join(f"{outline.number}\0{outline.text}" for outline in (*plan.outlines, *plan.refused))
    return hashlib.blake2b(exact.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
