"""What LangChain told of an agent run as one trace: its critical path crosses nodes, tools, subgraphs and runs of ours.

How its edges are known:
- LangGraph runs the nodes of a superstep side by side and begins the next when all have ended. It marks each node's run
  with its step, so a step is a block, each node a branch of it: its fork and its join are the step's own.
- A subgraph, a chain or a model call goes on inside whatever called it: LangChain names each one's parent.
- Of what one node, tool or chain called, those that were under way together are the branches of a block; each is after
  those that had ended when it began, by the order in which LangChain told it. What was never under way together is one
  after another.
- A run of ours brings its own trace, whole, edges and all; what its branches called is inside them.

A node's or a tool's own work is a `call`; a graph's own, between its steps, is `client`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from apr_agents.integrations.langchain.seen import Heard, Seen, forest, together, waited_for
from apr_agents.integrations.langchain.writing import Writer, below, ends_of
from apr_agents.runner.run import ANSWERED
from apr_agents.trace import Branch, Edge, Kind, Span, Trace

STEP = "superstep"
"""The rule of a block that is a superstep: all nodes."""
ALL = "all"


def trace_of(seen: Sequence[Seen], run_id: str, started: str) -> Trace:
    """The trace of an agent run of which this was told, in the order in which it began."""
    roots = forest(seen)
    composer = _Composer(roots[0].begun.seconds if roots else 0.0)
    wall = composer.compose(roots)
    runs = [one.heard.trace for one in seen if one.heard]
    models = [one.name for one in composer.models]
    silent = Counter(one.name for one in composer.models if one.tokens is None)
    writer = composer.writer
    return Trace(
        run_id=run_id,
        engine=_names([run.engine for run in runs] + models),
        dialect=_names([run.dialect for run in runs]),
        mode="adaptive" if any(run.mode == "adaptive" for run in runs) else "sequential",
        started=started,
        wall=wall,
        ended=_ended(roots),
        spans=tuple(writer.spans),
        blocks=tuple(writer.blocks),
        branches=tuple(writer.branches),
        notes=(*writer.notes, *(f"{count} calls of {name} told no tokens" for name, count in silent.items())),
    )


def _names(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names)) or "none"


def _ended(roots: Sequence[Seen]) -> str:
    outcomes = {one.outcome for one in roots}
    if roots and _interrupted(roots[-1]):
        return "interrupted"
    return "failed" if "failed" in outcomes else "cancelled" if "cancelled" in outcomes else ANSWERED


def _interrupted(one: Seen) -> bool:
    return one.interrupted or any(map(_interrupted, one.inside))


class _Composer:
    """Writes the trace. What was told at a moment is written at that moment and a delay.

    The delay is 0 but behind a run of ours that had more seconds than were seen here: one that was resumed, or whose
    engine has a clock of its own.
    """

    def __init__(self, zero: float) -> None:
        self.writer = Writer()
        self.models: list[Seen] = []
        """The model calls that are no runs of ours."""
        self._zero = zero

    def compose(self, roots: Sequence[Seen]) -> float:
        """Write all of it; when it ended."""
        delay, end = 0.0, self._zero
        groups = list(together(roots))
        for place, group in enumerate(groups):
            if place and _interrupted(groups[place - 1][-1]):
                self._own("", Kind.human, end, group[0].begun.seconds, delay)
            delay = self._root(group, delay)
            end = max(one.ended.seconds for one in group)
        return end + delay - self._zero

    def _root(self, group: Sequence[Seen], delay: float) -> float:
        first = group[0]
        if len(group) == 1 and first.kind in ("chain", "node") and not first.heard:
            return self._inside(first, first.inside, "", Kind.client, delay)
        if len(group) == 1 and first.kind == "model":
            return self._content(first, "", delay)
        self._own("", Kind.client, first.begun.seconds, first.begun.seconds, delay)
        delay = self._block(group, "", delay)
        end = max(one.ended.seconds for one in group)
        self._own("", Kind.client, end, end, delay)
        return delay

    def _inside(self, around: Seen, runs: Sequence[Seen], path: str, own: Kind, delay: float) -> float:
        """Write what went on in a run, its own work between; the delay behind it."""
        at = around.begun.seconds
        for group in together(runs):
            self._own(path, own, at, group[0].begun.seconds, delay)
            if len(group) == 1 and group[0].kind in ("chain", "model"):
                delay = self._content(group[0], path, delay)
            else:
                delay = self._block(group, path, delay)
            at = max(one.ended.seconds for one in group)
        self._own(path, own, at, around.ended.seconds, delay, around)
        return delay

    def _content(self, one: Seen, path: str, delay: float) -> float:
        if one.heard:
            return self._run(one, one.heard, path, delay)
        if one.kind != "model":
            return self._inside(one, one.inside, path, Kind.call, delay)
        self.models.append(one)
        start, end = (moment.seconds + delay - self._zero for moment in (one.begun, one.ended))
        self.writer.span(path, Kind.decode, start, end, one.outcome, one.tokens)
        return delay

    def _block(self, group: Sequence[Seen], path: str, delay: float) -> float:
        steps = group[0].step is not None
        number = self.writer.block(path, STEP if steps else ALL)
        fork = tuple(Edge(edge.span, "fork") for edge in self.writer.after(path))
        delays: list[float] = []
        ends: list[Edge] = []
        for place, one in enumerate(group):
            branch = below(path, number, place + 1)
            before = [] if steps else list(waited_for(one, group[:place]))
            self.writer.come(branch, (*fork, *(Edge(ends[other].span, "then") for other in before)))
            delays.append(self._content(one, branch, max((delays[other] for other in before), default=delay)))
            ends += [Edge(edge.span, "join") for edge in self.writer.after(branch)]
            self.writer.branches.append(_branch(one, branch))
        self.writer.come(path, tuple(ends))
        return max(delays)

    def _run(self, one: Seen, heard: Heard, path: str, delay: float) -> float:
        """Write a run of ours with what is around it."""
        trace, ended = heard.trace, heard.at.seconds
        start = max(one.begun.seconds, ended - trace.wall)
        self._own(path, Kind.client, one.begun.seconds, start, delay)
        delay += self._graft(one, trace, path, ended - trace.wall, start + delay - self._zero)
        delay += start + trace.wall - ended
        self._own(path, Kind.client, ended, one.ended.seconds, delay, one)
        return delay

    def _graft(self, one: Seen, trace: Trace, path: str, told: float, at: float) -> float:
        """Write a run whose start was told as one moment and is written at another; the delay that arose in it."""
        rooted = self.writer.facts(trace, path)
        ids: dict[str, str] = {}
        late: dict[str, float] = {}
        for span in trace.spans:
            delay = max((late[edge.span] for edge in span.after), default=0.0)
            where = rooted.path(span.path)
            after = tuple(Edge(ids[edge.span], edge.kind) for edge in span.after) or self.writer.after(where)
            calls = [run for branch, run in one.calls if branch == span.path] if span.kind is Kind.call else []
            if calls:
                self.writer.come(where, after)
                around = _around(one, calls, span, told)
                shift = at + span.start + delay - around.begun.seconds + self._zero
                inner = self._inside(around, calls, where, Kind.call, shift)
                ids[span.id] = self.writer.after(where)[0].span
                delay = around.ended.seconds + inner - self._zero - at - span.end
            else:
                start, end = at + span.start + delay, at + span.end + delay
                ids[span.id] = self.writer.span(
                    where, span.kind, start, end, span.outcome, span.tokens, span.phases, after=after
                )
            late[span.id] = delay
        if ids:
            self.writer.come(path, ends_of(trace, ids))
        return max(late.values(), default=0.0)

    def _own(self, path: str, kind: Kind, begun: float, ended: float, delay: float, whose: Seen | None = None) -> None:
        """Write a run's own work between two moments; `whose`: the run that it is the end of."""
        start = begun + delay - self._zero
        self.writer.span(path, kind, start, start + max(0.0, ended - begun), whose.outcome if whose else "done")


def _branch(one: Seen, path: str) -> Branch:
    kind = "reason" if one.kind == "model" else "call"
    number = path.rpartition(".")[2]
    return Branch(path, number, one.name, kind, one.outcome, joined=one.outcome == "done", detail=one.detail)


def _around(one: Seen, calls: Sequence[Seen], span: Span, told: float) -> Seen:
    """A call of a run as something that was seen, around what it called; `told`: when the run began, as seen.

    Where the run's engine has a clock of its own, what was called lies elsewhere: the call begins with it then.
    """
    begun, ended = told + span.start, told + span.end
    first, last = calls[0].begun.seconds, max(run.ended.seconds for run in calls)
    if not begun <= first <= last <= ended:
        begun, ended = first, max(last, first + span.end - span.start)
    moments = replace(one.begun, seconds=begun), replace(one.ended, seconds=ended)
    outcome = "done" if span.outcome == "length" else span.outcome
    return replace(one, begun=moments[0], ended=moments[1], outcome=outcome)
