"""Runs as plans, and the trace that the driver would write of each: exact times, no clock and no engine.

A plan says what each span costs; who joins, who loses and when everything happens follows from it. Times are counted
in ticks of 1/64 s, so that sums of seconds are exact and laws can be tested with `==`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from apr_agents.accounting.joins import block_of
from apr_agents.trace import Block, Branch, Edge, Kind, Phases, Span, Tokens, Trace

TICK = 1 / 64
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Step:
    """One span."""

    kind: Kind
    ticks: int
    tokens: Tokens | None = None
    phases: Phases | None = None
    gap: int = 0
    """Ticks between the end of the span before and its start."""


@dataclass(frozen=True, slots=True)
class Fork:
    """One block: its branches, and the join's own span."""

    branches: tuple[Way, ...]
    rule: Literal["all", "first", "quorum", "deadline"] = "all"
    deadline: int = 0
    """Ticks after the fork."""
    join: int = 1
    """Ticks of the join's span."""
    unjoined: bool = False
    """The run ends inside it. For the last item of a run only."""
    ahead: Step | None = None
    """A request ahead of the join, made when the first branch ends; a join without a deadline waits for it."""


@dataclass(frozen=True, slots=True)
class Way:
    """What one branch, or the run, does in order; it begins with a step."""

    items: tuple[Step | Fork, ...]
    kind: Literal["reason", "call"] = "reason"
    outline: str = ""


@dataclass(slots=True)
class Record:
    """What was written so far."""

    spans: list[Span] = field(default_factory=list[Span])
    blocks: list[Block] = field(default_factory=list[Block])
    branches: list[Branch] = field(default_factory=list[Branch])

    def add(self, other: Record) -> None:
        self.spans += other.spans
        self.blocks += other.blocks
        self.branches += other.branches


def trace_of(plan: Way, response: tuple[int, ...] | None = None, tags: dict[str, int] | None = None) -> Trace:
    """The trace of the run that goes as planned."""
    record = walk(plan, "", 0.0, ())
    return Trace(
        run_id="run",
        engine="scripted",
        dialect="threadweaver",
        mode="adaptive",
        started="2026-01-01T00:00:00+00:00",
        wall=max((span.end for span in record.spans), default=0.0) + TICK,
        ended="answered",
        spans=tuple(record.spans),
        blocks=tuple(record.blocks),
        branches=tuple(record.branches),
        response=response,
        tags=tags,
    )


def walk(way: Way, path: str, start: float, after: tuple[Edge, ...]) -> Record:
    """Everything that this way writes; its first span is after `after`, its last span is the last one of its own."""
    record, now, count, blocks = Record(), start, 0, 0
    for item in way.items:
        if isinstance(item, Step):
            count += 1
            begin = now + item.gap * TICK
            now = begin + item.ticks * TICK
            record.spans.append(
                Span(f"{path}#{count}", item.kind, path, after, begin, now, "done", item.tokens, item.phases)
            )
        else:
            blocks += 1
            now, count = _block(record, item, path, blocks, now, count)
            if item.unjoined:
                return record
        after = (Edge(f"{path}#{count}", "then"),)
    return record


def _block(record: Record, fork: Fork, path: str, number: int, now: float, count: int) -> tuple[float, int]:
    source = f"{path}#{count}"
    paths = [f"{path}/{number}.{place}".lstrip("/") for place in range(1, len(fork.branches) + 1)]
    inner = [walk(way, name, now, (Edge(source, "fork"),)) for way, name in zip(fork.branches, paths, strict=True)]
    ends = [max(span.end for span in each.spans) for each in inner]
    moment, trigger = _moment(fork, ends, now)
    late = fork.rule == "deadline" and max(ends) > moment
    joined = [end < moment or (end == moment and trigger in (None, place)) for place, end in enumerate(ends)]
    for way, name, each, kept in zip(fork.branches, paths, inner, joined, strict=True):
        done = kept or fork.unjoined
        record.branches.append(
            Branch(
                name,
                name.rpartition(".")[2],
                way.outline,
                way.kind,
                "done" if done else "cancelled",
                kept and not fork.unjoined,
                "" if done else "the join came first",
            )
        )
        record.add(each if done else _cut(each, moment))
    record.blocks.append(Block(path, number, fork.rule, None if trigger is None else paths[trigger]))
    first = ends.index(min(ends))
    ready = _ahead(fork, _last(inner[first], paths[first]), path, number, (min(ends), moment))
    record.spans += [ready] if ready else []
    if fork.unjoined:
        return max(ends), count
    edges = [
        Edge(_last(each, name), "trigger" if place == trigger else "join")
        for place, (each, name) in enumerate(zip(inner, paths, strict=True))
        if joined[place]
    ]
    if late:
        count += 1
        wait = Span(f"{path}#{count}", Kind.wait, path, (Edge(source, "then"),), now, moment, "done")
        record.spans.append(wait)
        edges.append(Edge(wait.id, "then"))
    if ready and ready.end > moment:
        waited = Span(f"{path}#wait{number}", Kind.wait, path, tuple(edges), moment, ready.end, "done")
        record.spans.append(waited)
        moment, edges = ready.end, [Edge(waited.id, "then")]
    end = moment + fork.join * TICK
    record.spans.append(Span(f"{path}#{count + 1}", Kind.client, path, tuple(edges), moment, end, "done"))
    return end, count + 1


def _ahead(fork: Fork, after: str, path: str, number: int, times: tuple[float, float]) -> Span | None:
    """The request ahead of a join, from the end of the first branch to its own, or cut off with the block."""
    start, moment = times
    step = fork.ahead
    if step is None or start >= moment:
        return None
    end = start + step.ticks * TICK
    cut = end > moment and (fork.unjoined or fork.rule == "deadline")
    edges = (Edge(after, "then"),)
    name = f"{path}#ahead{number}"
    if cut:
        return Span(name, Kind.ahead, path, edges, start, moment, "cancelled", step.tokens)
    return Span(name, Kind.ahead, path, edges, start, end, "done", step.tokens, step.phases)


def _moment(fork: Fork, ends: Sequence[float], now: float) -> tuple[float, int | None]:
    """When the block joins, and the place of its trigger."""
    if fork.rule == "deadline":
        return min(max(ends), now + fork.deadline * TICK), None
    if fork.rule == "all":
        return max(ends), None
    place = sorted(range(len(ends)), key=lambda place: ends[place])[0 if fork.rule == "first" else (len(ends) - 1) // 2]
    return ends[place], place


def _last(record: Record, path: str) -> str:
    return [span.id for span in record.spans if span.path == path][-1]


def _cut(record: Record, moment: float) -> Record:
    """What is left of a loser that was cancelled at this moment; a block inside it may never have joined."""
    spans = [
        span if span.end <= moment else replace(span, end=moment, outcome="cancelled", phases=None)
        for span in record.spans
        if span.start < moment
    ]
    left = {span.path for span in spans}
    into = {edge.span.partition("#")[0] for span in spans for edge in span.after if edge.kind in ("join", "trigger")}
    branches = [replace(branch, joined=branch.path in into) for branch in record.branches if branch.path in left]
    forked = {block_of(branch.path) for branch in branches}
    return Record(
        spans,
        [
            replace(block, trigger=block.trigger if block.trigger in into else None)
            for block in record.blocks
            if (block.path, block.number) in forked
        ],
        branches,
    )
