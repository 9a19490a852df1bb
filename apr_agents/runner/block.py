"""One block: which branches it has, when it joins, and what the joined context takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from apr_agents.events import Fork as Plan
from apr_agents.glue import Joined, fork_context, join_context
from apr_agents.paths import BranchPath
from apr_agents.runner.ahead import Ahead
from apr_agents.runner.branch import Planned, refuse
from apr_agents.runner.calls import find_call
from apr_agents.runner.early import Early
from apr_agents.runner.joins import Decision, decide, meets
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.progress import Ended
from apr_agents.runner.resumed import check_plan
from apr_agents.runner.shared import End
from apr_agents.runner.spawner import Siblings, Work
from apr_agents.runner.walk import Walk
from apr_agents.trace import Block, Edge, Kind


@dataclass(frozen=True, slots=True)
class BranchPlan:
    """What becomes of a block's outlines."""

    started: tuple[Planned, ...]
    refused: tuple[Planned, ...]
    """As many as a block may have at most, so that to be told costs no more than to be joined."""
    untold: int
    """How many more were refused."""


def plan_branches(walk: Walk, plan: Plan, begun: Collection[str] = ()) -> BranchPlan:
    """A branch for each outline, in order, as far as the bounds of block and run admit; `begun` have been admitted."""
    shared = walk.shared
    settings = shared.settings
    outlines = (*plan.outlines, *plan.refused)
    admitted = shared.ledger.admit(len(plan.outlines) - len(begun), len(begun))
    told = outlines[: len(begun) + admitted + settings.budget.branches]
    planned = [
        Planned(
            walk.path.child(walk.blocks, position),
            outline,
            fork_context(walk.context, settings.dialect, outline.number, shared.engine.encode),
            find_call(outline.text, settings.functions),
        )
        for position, outline in enumerate(told, 1)
    ]
    others = [one for one in planned if str(one.path) not in begun] if begun else planned
    started = [one for one in planned if str(one.path) in begun] + others[:admitted]
    in_order = tuple(sorted(started, key=lambda one: one.path))
    return BranchPlan(in_order, tuple(others[admitted:]), len(outlines) - len(told))


class RunningBlock:
    """A block while it runs.

    Its mutable state is the outcomes so far, in the order of their completion, and how many of them meet the join rule.
    """

    def __init__(
        self,
        walk: Walk,
        plan: BranchPlan,
        works: Mapping[str, Work],
        deadline: float | None,
        early: Early | None,
    ) -> None:
        """`deadline`: the join rule's own, on the engine's clock. `early` has those works that have started."""
        self.walk = walk
        self.works = works
        self.deadline = deadline
        self.planned = {str(planned.path): planned for planned in (*plan.started, *plan.refused)}
        self.outcomes: list[Outcome] = []
        self.joined: tuple[Outcome, ...] = ()
        self.decision: Decision | None = None
        self.late = False
        self._early = early
        self._ahead = Ahead(walk, list(self.planned))
        self._met = 0
        self._number = walk.blocks
        self._forked = walk.recorder.now()
        self._record()
        for planned in plan.refused:
            refused = refuse(walk.shared, planned)
            walk.recorder.absorb(refused)
            self.outcomes.append(refused)
            if self._ahead.on:
                self._ahead.add(refused, self._as_joined(refused))

    async def gather(self) -> Decision | None:
        """Run the branches until the join rule decides, or all have ended; the others are cancelled in the engine."""
        shared = self.walk.shared
        early, clock = self._early, shared.engine.clock
        opened = early.hand_over(self.deadline) if early else shared.spawner.open(clock, self.deadline)
        async with opened as siblings, self._ahead.open():
            for name, work in self.works.items():
                if early is None or name not in early.works:
                    siblings.start(name, work)
            pending = dict.fromkeys(self.works)
            while pending and self.decision is None and not self.late:
                outcome = await self._next(siblings, pending)
                if outcome is None:
                    self.late = True
                else:
                    self.decision = self._decide(outcome)
                    if self._ahead.on and self.decision is None and pending:
                        self._ahead.add(outcome, self._as_joined(outcome))
                        self._ahead.start()
            for name in pending:
                siblings.cancel(name)
            while pending:
                await self._next(siblings, pending)
            if not self.late and end_at_join(self.walk, self.outcomes, self.decision) is None:
                await self._ahead.finish()
        return self.decision

    async def _next(self, siblings: Siblings, pending: dict[str, None]) -> Outcome | None:
        """The next branch that ended, booked; None once at the deadline."""
        ended = await siblings.next()
        while ended is not None and ended[0] not in pending:  # a call of a block that was never whole
            ended = await siblings.next()
        if ended is None:
            return None
        name, outcome = ended
        del pending[name]
        self._book(name, outcome)
        seconds = outcome.spans[-1].end - outcome.spans[0].start if outcome.spans else 0.0
        await self.walk.shared.tell(Ended(outcome.branch, outcome.tokens, seconds))
        return outcome

    def _decide(self, outcome: Outcome) -> Decision | None:
        rule, path = self.walk.shared.settings.join, outcome.branch.path
        try:
            self._met += meets(rule, outcome)
        except Exception as error:  # the caller's predicate may raise anything
            return Decision(path, "failed", f"the join rule's predicate raised {type(error).__name__}: {error}")
        return decide(rule, outcome, self._met)

    def _book(self, name: str, outcome: Outcome) -> None:
        self.walk.recorder.absorb(outcome)
        self.walk.allowance -= outcome.tokens
        self.outcomes.append(outcome)
        if not self.works[name].started:
            # It ran before this run was resumed: bring in what it used then.
            shared = self.walk.shared
            check_plan(self.planned[name].branch("done"), outcome)
            self.walk.deadline -= self.walk.recorder.reach(outcome.spans)
            shared.ledger.restore(outcome.tokens, len(outcome.branches), outcome.requests, outcome.retries)
            evaluated = outcome.evaluated(self.planned[name].fork.start)
            if evaluated is not None:
                shared.prefixes.add(evaluated, unevaluated=1)

    def join(self) -> None:
        """Put what has ended into the walk's context. Awaits nothing: it runs when the run is cancelled."""
        walk, shared = self.walk, self.walk.shared
        known = {outcome.branch.path for outcome in self.outcomes}
        for name, work in self.works.items():
            if name not in known:
                self._book(name, work.cancelled())
        shown = [outcome for outcome in self.outcomes if outcome.branch.outcome != "cancelled"]
        if shared.settings.join.order == "number":
            shown.sort(key=lambda outcome: BranchPath.parse(outcome.branch.path))
        self.joined = tuple(outcome.joined() for outcome in shown)
        for outcome in self.joined:
            walk.recorder.absorb(outcome)
        walk.recorder.open(Kind.client, self._ahead.waited(self._edges()))
        branches = [self._as_joined(outcome) for outcome in self.joined]
        walk.context = join_context(walk.context, branches, shared.settings.dialect, shared.engine.encode)
        if walk.parser is not None:
            walk.parser.joined()
        walk.recorder.close()
        self._record()
        walk.outcomes += (*self.joined, *(one for one in self.outcomes if one.branch.outcome == "cancelled"))

    def _record(self) -> None:
        trigger = self.decision.trigger if self.decision else None
        rule = str(self.walk.shared.settings.join)
        self.walk.recorder.block(Block(str(self.walk.path), self._number, rule, trigger))

    def _edges(self) -> tuple[Edge, ...]:
        """To the join: from the last span of each joined branch, and from the wait for a deadline."""
        trigger = self.decision.trigger if self.decision else None
        recorder = self.walk.recorder
        before = recorder.last
        waited = (recorder.waited(self._forked),) if self.late else ()
        edges = tuple(
            Edge(outcome.spans[-1].id, "trigger" if outcome.branch.path == trigger else "join")
            for outcome in self.joined
            if outcome.spans
        )
        return (*edges, *waited) or before

    def _as_joined(self, outcome: Outcome) -> Joined:
        fork = self.planned[outcome.branch.path].fork
        return Joined(fork, outcome.context(fork.start))


def end_at_join(walk: Walk, outcomes: Sequence[Outcome], decision: Decision | None) -> End | None:
    """Whether the walk ends at this join, and why."""
    if decision is not None and decision.ends is not None:
        return End(decision.ends, decision.detail)
    truncated = [outcome.branch.path for outcome in outcomes if outcome.branch.outcome == "truncated"]
    if truncated and walk.shared.settings.dialect.truncated == "end":
        return End("truncated", f"branch {truncated[0]} ended without its closing tag")
    if not walk.shared.ledger.may_fork and all(outcome.branch.outcome == "refused" for outcome in outcomes):
        return End(
            "run_branches", f"the run's budget of {walk.shared.settings.budget.run_branches} branches is used up"
        )
    return None
