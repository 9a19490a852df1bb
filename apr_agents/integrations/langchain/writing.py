"""A trace while it is put together from parts: it counts spans and blocks, and knows what comes after what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

from apr_agents.accounting.graph import graph
from apr_agents.runner.run import ANSWERED
from apr_agents.trace import Block, Branch, Edge, Kind, Phases, Span, Tokens, Trace


class Writer:
    """Spans, blocks and branches so far. Its mutable state is those, and what the next span of each path is after."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.blocks: list[Block] = []
        self.branches: list[Branch] = []
        self.notes: list[str] = []
        self._counts: dict[str, int] = defaultdict(int)
        self._blocks: dict[str, int] = defaultdict(int)
        self._after: dict[str, tuple[Edge, ...]] = {}

    def after(self, path: str) -> tuple[Edge, ...]:
        """What the next span of this path comes after."""
        return self._after.get(path, ())

    def come(self, path: str, after: tuple[Edge, ...]) -> None:
        """The next span of this path comes after these."""
        self._after[path] = after

    def span(
        self,
        path: str,
        kind: Kind,
        start: float,
        end: float,
        outcome: Literal["done", "length", "failed", "cancelled"] = "done",
        tokens: Tokens | None = None,
        phases: Phases | None = None,
        *,
        after: tuple[Edge, ...] | None = None,
    ) -> str:
        """Write the next span of this path, or one beside them with its own `after`; its id."""
        self._counts[path] += 1
        name = f"{path}#{self._counts[path]}"
        edges = self.after(path) if after is None else after
        self.spans.append(Span(name, kind, path, edges, start, end, outcome, tokens, phases))
        if after is None:
            self.come(path, (Edge(name, "then"),))
        return name

    def block(self, path: str, rule: str) -> int:
        """Write the next block of this path; its number."""
        self._blocks[path] += 1
        self.blocks.append(Block(path, self._blocks[path], rule, None))
        return self._blocks[path]

    def facts(self, trace: Trace, path: str) -> Rooted:
        """Write the blocks, branches and notes of a run whose root is this path."""
        rooted = Rooted(path, self._blocks[path])
        for block in trace.blocks:
            number = block.number + (0 if block.path else rooted.blocks)
            self.blocks.append(Block(rooted.path(block.path), number, block.rule, rooted.trigger(block)))
            if not block.path:
                self._blocks[path] = max(self._blocks[path], number)
        for one in trace.branches:
            where = rooted.path(one.path)
            self.branches.append(Branch(where, one.number, one.outline, one.kind, one.outcome, one.joined, one.detail))
        where = f"the run in {path or 'the root'}"
        self.notes += [f"{where}: {note}" for note in trace.notes]
        if trace.ended != ANSWERED:
            self.notes.append(f"{where} ended with: {trace.ended}")
        return rooted


class Rooted:
    """Paths of a run inside a longer one: its root is at a path, behind so many blocks of that path."""

    def __init__(self, root: str, blocks: int) -> None:
        self.blocks = blocks
        self._root = root

    def path(self, path: str) -> str:
        """Where this path of the run is."""
        if not path:
            return self._root
        block, _, rest = path.partition(".")
        return below(self._root, int(block) + self.blocks, rest)

    def trigger(self, block: Block) -> str | None:
        return None if block.trigger is None else self.path(block.trigger)


def below(path: str, block: int, branch: int | str) -> str:
    """The path of this branch."""
    return f"{path}/{block}.{branch}" if path else f"{block}.{branch}"


def ends_of(trace: Trace, ids: Mapping[str, str]) -> tuple[Edge, ...]:
    """What comes after this run is after the spans in which it ended."""
    spans = graph(trace)
    return tuple(Edge(ids[spans.spans[place].id], "then") for place in spans.ends)
