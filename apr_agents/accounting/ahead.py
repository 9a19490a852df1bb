"""What was evaluated ahead of each join, what that left to its synthesis, and the time that it saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from apr_agents.accounting.graph import Graph
from apr_agents.accounting.joins import BlockKey, block_of, member
from apr_agents.accounting.totals import prefilled, untold
from apr_agents.trace import Kind, Span


@dataclass(slots=True)
class Prepared:
    """One block's requests ahead of its join, and what came of them."""

    ahead: list[Span] = field(default_factory=list[Span])
    """Those that finished."""
    synthesis: Span | None = None
    """The last request behind the join."""
    waited: float = 0.0
    """Seconds that the join waited for a request ahead."""

    @property
    def synthesis_prefill(self) -> int | None:
        return prefilled(self.synthesis.tokens) if self.synthesis and self.synthesis.tokens else None

    @property
    def tokens(self) -> int | None:
        """Evaluated ahead."""
        counts = [prefilled(span.tokens) for span in self.ahead if span.tokens]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def saved(self) -> float | None:
        """Seconds that these requests took in the engine, as far as the synthesis found them in its cache, less what
        the join waited; None where the engine does not tell."""
        tokens, seconds = self.tokens, [_seconds(span) for span in self.ahead]
        if tokens is None or None in seconds:
            return None
        spent = sum(one or 0.0 for one in seconds)
        return (spent * self._found(tokens) / tokens if tokens else 0.0) - self.waited

    def _found(self, tokens: int) -> int:
        """Of so many tokens evaluated ahead, how many the synthesis found in the cache."""
        found = self.synthesis.tokens.cached if self.synthesis and self.synthesis.tokens else None
        whole = max((span.tokens.prompt for span in self.ahead if span.tokens), default=0)
        return 0 if found is None else max(0, tokens - max(0, whole - found))


def prepared(graph: Graph) -> Mapping[BlockKey, Prepared]:
    """By block, for those with a join or a request ahead of it."""
    found: dict[BlockKey, Prepared] = {}
    joined: dict[str, BlockKey] = {}
    for span, before in zip(graph.spans, graph.after, strict=True):
        if span.kind is Kind.synthesis and span.path in joined:
            found[joined[span.path]].synthesis = span
        elif span.kind is Kind.ahead:
            block = _block(graph, span, before)
            if block and span.outcome == "done":
                found.setdefault(block, Prepared()).ahead.append(span)
        elif any(edge.kind in ("join", "trigger") for edge in span.after):
            block = _block(graph, span, before)
            if block:
                joined[span.path] = block
                made = found.setdefault(block, Prepared())
                made.waited = span.end - span.start if span.kind is Kind.wait else 0.0
    return found


def untold_saving(blocks: Mapping[BlockKey, Prepared]) -> dict[str, str]:
    """Why the time saved is not known, where it is not."""
    spans = [span for block in blocks.values() for span in block.ahead]
    reason = untold([_seconds(span) if span.tokens and span.tokens.cached is not None else None for span in spans])
    return {"ahead_saved_seconds": reason} if reason else {}


def _block(graph: Graph, span: Span, before: tuple[int, ...]) -> BlockKey | None:
    """The block of the branches that this span is after."""
    inside = f"{span.path}/" if span.path else ""
    paths = (graph.spans[place].path for place in before)
    return next(
        (block_of(member(span.path, path)) for path in paths if path != span.path and path.startswith(inside)), None
    )


def _seconds(span: Span) -> float | None:
    return span.phases.prefill if span.phases else None
