"""Blocks and branches: what each cost, which branch a join waited for, and how much time the others had left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from apr_agents.accounting.ahead import Prepared
from apr_agents.accounting.figures import BranchFigures, ForkFigures
from apr_agents.accounting.graph import Chain, Graph, wasted
from apr_agents.accounting.joins import BlockKey, Join, block_of, place_in_block
from apr_agents.trace import Block, Branch, Trace


@dataclass(frozen=True, slots=True)
class Extent:
    """The spans of a branch and of the branches inside it, summed up."""

    tokens: int
    wasted: int
    start: float
    end: float
    critical: bool
    critical_tokens: bool

    def __or__(self, other: Extent) -> Extent:
        return Extent(
            self.tokens + other.tokens,
            self.wasted + other.wasted,
            min(self.start, other.start),
            max(self.end, other.end),
            self.critical or other.critical,
            self.critical_tokens or other.critical_tokens,
        )


def fork_figures(
    trace: Trace,
    graph: Graph,
    joins: Mapping[BlockKey, Join],
    blocks: Mapping[BlockKey, Prepared],
    in_tokens: Chain,
    in_seconds: Chain,
) -> tuple[ForkFigures, ...]:
    """One a block, outer ones first; `in_tokens` and `in_seconds` are the longest chains."""
    extents = _extents(graph, in_tokens, in_seconds)
    members: dict[BlockKey, list[Branch]] = {}
    for branch in sorted(trace.branches, key=lambda branch: place_in_block(branch.path)):
        members.setdefault(block_of(branch.path), []).append(branch)
    return tuple(
        _fork(block, members.get(key, []), joins.get(key), blocks.get(key, Prepared()), extents)
        for block in _outer_first(trace.blocks, members)
        for key in [(block.path, block.number)]
    )


def _outer_first(blocks: Iterable[Block], members: Mapping[BlockKey, Sequence[Branch]]) -> Iterator[Block]:
    """The run's own blocks, then for each of their branches in order its own, and so on inwards.

    In the trace of a run that still goes on, a block can be there before the branch that wrote it: it comes last.
    """
    written: dict[str, list[Block]] = {}
    for block in sorted(blocks, key=lambda block: block.number):
        written.setdefault(block.path, []).append(block)
    pending = [""]
    while pending:
        own = written.pop(pending.pop(), [])
        yield from own
        inner = [branch.path for block in own for branch in members.get((block.path, block.number), ())]
        pending += reversed(inner)
    for path in sorted(written):
        yield from written[path]


def _fork(
    block: Block, members: list[Branch], join: Join | None, prepared: Prepared, extents: Mapping[str, Extent]
) -> ForkFigures:
    straggler = join.straggler if join else None
    others = [end for path, end in join.ends.items() if path != straggler] if join else []
    return ForkFigures(
        path=block.path,
        number=block.number,
        rule=block.rule,
        trigger=block.trigger,
        straggler=straggler,
        lead_seconds=join.moment - max(others) if join and straggler and others else None,
        wasted_tokens=sum(extents[branch.path].wasted for branch in members if branch.path in extents),
        synthesis_prefill=prepared.synthesis_prefill,
        ahead=prepared.tokens,
        ahead_saved_seconds=prepared.saved,
        branches=tuple(_branch(branch, join, extents.get(branch.path)) for branch in members),
    )


def _branch(branch: Branch, join: Join | None, extent: Extent | None) -> BranchFigures:
    end = join.ends.get(branch.path) if join else None
    return BranchFigures(
        path=branch.path,
        number=branch.number,
        outline=branch.outline,
        kind=branch.kind,
        outcome=branch.outcome,
        joined=branch.joined,
        detail=branch.detail,
        tokens=extent.tokens if extent else 0,
        seconds=extent.end - extent.start if extent else 0.0,
        slack_seconds=join.moment - end if join and end is not None else None,
        critical=extent is not None and extent.critical,
        critical_tokens=extent is not None and extent.critical_tokens,
    )


def _extents(graph: Graph, in_tokens: Chain, in_seconds: Chain) -> dict[str, Extent]:
    """By branch path, its own spans and those of all branches inside it."""
    lost = wasted(graph)
    extents: dict[str, Extent] = {}
    for place, span in enumerate(graph.spans):
        tokens = span.tokens.generated if span.tokens else 0
        own = Extent(
            tokens,
            tokens if place in lost else 0,
            span.start,
            span.end,
            place in in_seconds.places,
            place in in_tokens.places,
        )
        extents[span.path] = extents[span.path] | own if span.path in extents else own
    for path in sorted(extents, key=lambda path: path.count("/"), reverse=True):
        parent = path.rpartition("/")[0]
        if parent and parent in extents:
            extents[parent] |= extents[path]
    return extents
