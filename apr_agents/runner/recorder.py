"""Where the driver writes what happens: one recorder per branch, children inside their parents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from apr_agents.runner.outcome import Outcome
from apr_agents.runner.stopwatch import Stopwatch
from apr_agents.trace import Block, Branch, Edge, Kind, Phases, Span, Tokens


@dataclass(frozen=True, slots=True)
class Records:
    """What a branch and all branches inside it left, predecessors first."""

    spans: tuple[Span, ...]
    blocks: tuple[Block, ...]
    branches: tuple[Branch, ...]
    notes: tuple[str, ...]


class Recorder:
    """The spans of one branch, and the records of the branches inside it.

    Its mutable state is what was recorded so far. Ids count within a branch, so they do not depend on the order in
    which concurrent branches run.
    """

    def __init__(self, path: str, stopwatch: Stopwatch, after: tuple[Edge, ...] = ()) -> None:
        self.path = path
        self._stopwatch = stopwatch
        self._after = after
        self._count = 0
        self._aheads = 0
        self._entries: dict[str, Span | Recorder | Outcome | Records] = {}
        self._blocks: dict[int, Block] = {}
        self._open: Span | None = None
        self.notes: list[str] = []

    def now(self) -> float:
        """Seconds from the start of the run."""
        return self._stopwatch.now()

    @property
    def last(self) -> tuple[Edge, ...]:
        """What the next span of this branch comes after."""
        return (Edge(f"{self.path}#{self._count}", "then"),) if self._count else self._after

    def open(self, kind: Kind, after: tuple[Edge, ...] | None = None) -> None:
        """Begin a span; the one before it must be closed. `after` is this branch's last span unless given."""
        edges = self.last if after is None else after
        self._count += 1
        now = self.now()
        self._open = Span(f"{self.path}#{self._count}", kind, self.path, edges, now, now, "cancelled")

    def close(
        self,
        outcome: Literal["done", "length", "failed", "cancelled"] = "done",
        tokens: Tokens | None = None,
        phases: Phases | None = None,
    ) -> Span | None:
        """End the open span, which this gives; nothing happens when none is."""
        begun, self._open = self._open, None
        if begun is None:
            return None
        # Written out: `dataclasses.replace` costs five times as much, and every branch ends here.
        span = Span(begun.id, begun.kind, begun.path, begun.after, begun.start, self.now(), outcome, tokens, phases)
        self._entries[span.id] = span
        return span

    def waited(self, start: float) -> Edge:
        """Record a wait from `start` to now, beside this branch's children; what follows comes after it."""
        after = self.last
        self._count += 1
        span = Span(f"{self.path}#{self._count}", Kind.wait, self.path, after, start, self.now(), "done")
        self._entries[span.id] = span
        return Edge(span.id, "then")

    def ahead(
        self,
        kind: Literal[Kind.ahead, Kind.wait],
        start: float,
        after: tuple[Edge, ...],
        outcome: Literal["done", "failed", "cancelled"] = "done",
        tokens: Tokens | None = None,
        phases: Phases | None = None,
    ) -> Edge:
        """Record a request ahead of a join, or the join's wait for it, from `start` to now, in a count of their own."""
        self._aheads += 1
        name = f"{self.path}#ahead{self._aheads}"
        self._entries[name] = Span(name, kind, self.path, after, start, self.now(), outcome, tokens, phases)
        return Edge(name, "then")

    def amend(self, span: Span) -> None:
        """Put a closed span in the place of the one with its id, of which more is known now."""
        self._entries[span.id] = span

    def child(self, path: str, after: str | None = None) -> Recorder:
        """The recorder of a branch that forks here; behind the span `after` where that is not the last one."""
        edges = tuple(Edge(edge.span, "fork") for edge in self.last) if after is None else (Edge(after, "fork"),)
        recorder = Recorder(path, self._stopwatch, edges)
        self._entries[path] = recorder
        return recorder

    def forked(self, path: str) -> None:
        """A branch that had started before its fork comes behind it, among its siblings."""
        self._entries[path] = self._entries.pop(path)

    def absorb(self, outcome: Outcome) -> None:
        """Put a branch's outcome in place of its recorder; a replayed outcome brings its spans with it."""
        self._entries[outcome.branch.path] = outcome

    def mark(self) -> tuple[int, int]:
        """How many spans and notes of this branch there are."""
        return self._count, len(self.notes)

    def since(self, mark: tuple[int, int]) -> tuple[tuple[Span, ...], tuple[str, ...]]:
        """This branch's spans and notes since then; all its spans must be closed."""
        spans, notes = mark
        found = (self._entries[f"{self.path}#{count}"] for count in range(spans + 1, self._count + 1))
        return tuple(span for span in found if isinstance(span, Span)), tuple(self.notes[notes:])

    def restore(self, spans: tuple[Span, ...], notes: tuple[str, ...]) -> float:
        """Take spans and notes from before the run was resumed; by how many seconds that moved the run's start."""
        self._count += len(spans)
        self._entries |= {span.id: span for span in spans}
        self.notes += notes
        return self.reach(spans)

    def reach(self, spans: tuple[Span, ...]) -> float:
        """The run had come to the end of these spans before it was resumed; how much that moved its start."""
        return self._stopwatch.reach(max((span.end for span in spans), default=0.0))

    def block(self, block: Block) -> None:
        """Record a block at its fork, and once more when its join has happened."""
        self._blocks[block.number] = block

    def extent(self) -> tuple[int, int, int]:
        """How much there is now, for `records`."""
        return len(self._entries), len(self._blocks), len(self.notes)

    def resume(self, records: Records) -> float:
        """Take everything that was recorded up to a place before the run was resumed; by how many seconds that moved
        the run's start."""
        own = [span for span in records.spans if span.path == self.path]
        aheads = sum("#ahead" in span.id for span in own)
        self._entries[f"before {len(self._entries)}"] = records
        self._aheads += aheads
        self._count += len(own) - aheads
        return self.reach(records.spans)

    def records(self, since: tuple[int, int, int] = (0, 0, 0)) -> Records:
        """Everything so far, behind this extent; an open span ends now."""
        spans: list[Span] = []
        blocks = list(islice(self._blocks.values(), since[1], None))
        branches: list[Branch] = []
        notes = self.notes[since[2] :]
        for entry in islice(self._entries.values(), since[0], None):
            if isinstance(entry, Span):
                spans.append(entry)
                continue
            inner = entry.records() if isinstance(entry, Recorder) else entry
            spans += inner.spans
            blocks += inner.blocks
            branches += ([entry.branch] if isinstance(entry, Outcome) else []) + list(inner.branches)
            notes += inner.notes
        if self._open is not None:
            spans.append(replace(self._open, end=self.now()))
        return Records(tuple(spans), tuple(blocks), tuple(branches), tuple(notes))
