"""One block: which branches it has, when it joins, and what the joined context takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apr_agents.events import Fork as Plan
from apr_agents.glue import Fork, Joined, fork_context, join_context
from apr_agents.paths import BranchPath
from apr_agents.runner.branch import Planned, refuse
from apr_agents.runner.calls import find_call
from apr_agents.runner.joins import Decision, JoinRule, decide
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.progress import Ended
from apr_agents.runner.shared import End
from apr_agents.runner.spawner import Siblings, Work
from apr_agents.runner.walk import Walk
from apr_agents.trace import Block, Edge, Kind


@dataclass(frozen=True, slots=True)
class BranchPlan:
    """What becomes of a block's outlines."""

    started: tuple[Planned, ...]
    refused: tuple[Planned, ...]


def plan_branches(walk: Walk, plan: Plan) -> BranchPlan:
    """A branch for each outline, in order, as far as the bounds of block and run admit."""
    shared = walk.shared
    settings = shared.settings
    planned = [
        Planned(
            walk.path.child(walk.blocks, position),
            outline,
            fork_context(walk.context, settings.dialect, outline.number, shared.engine.encode),
            find_call(outline.text, settings.functions),
        )
        for position, outline in enumerate((*plan.outlines, *plan.refused), 1)
    ]
    admitted = shared.ledger.admit(len(plan.outlines))
    return BranchPlan(tuple(planned[:admitted]), tuple(planned[admitted:]))


class RunningBlock:
    """A block while it runs; its mutable state is the outcomes so far, in the order of their completion."""

    def __init__(self, walk: Walk, plan: BranchPlan, works: Mapping[str, Work]) -> None:
        self.walk = walk
        self.plan = plan
        self.works = works
        self.outcomes: list[Outcome] = []
        self.joined: tuple[Outcome, ...] = ()
        self.decision: Decision | None = None
        self.late = False
        for planned in plan.refused:
            refused = refuse(walk.shared, planned)
            walk.recorder.absorb(refused)
            self.outcomes.append(refused)

    async def gather(self) -> Decision | None:
        """Run the branches until the join rule decides, or all have ended; the others are cancelled in the engine."""
        rule = self.walk.shared.settings.join
        clock = self.walk.shared.engine.clock
        deadline = None if rule.seconds is None else clock.now() + rule.seconds
        async with self.walk.shared.spawner.open(clock, deadline) as siblings:
            for name, work in self.works.items():
                siblings.start(name, work)
            pending = dict.fromkeys(self.works)
            while pending and self.decision is None and not self.late:
                await self._next(siblings, pending, rule)
            for name in pending:
                siblings.cancel(name)
            while pending:
                await self._next(siblings, pending, None)
        return self.decision

    async def _next(self, siblings: Siblings, pending: dict[str, None], rule: JoinRule | None) -> None:
        ended = await siblings.next()
        if ended is None:
            self.late = True
            return
        name, outcome = ended
        del pending[name]
        self._book(outcome)
        if rule is not None:
            self.decision = decide(rule, self.outcomes)
        seconds = outcome.spans[-1].end - outcome.spans[0].start if outcome.spans else 0.0
        await self.walk.shared.tell(Ended(outcome.branch, outcome.tokens, seconds))

    def _book(self, outcome: Outcome) -> None:
        self.walk.recorder.absorb(outcome)
        self.walk.allowance -= outcome.tokens
        self.outcomes.append(outcome)

    def join(self) -> None:
        """Put what has ended into the walk's context. Awaits nothing: it runs when the run is cancelled."""
        walk, dialect = self.walk, self.walk.shared.settings.dialect
        known = {outcome.branch.path for outcome in self.outcomes}
        for name, work in self.works.items():
            if name not in known:
                self._book(work.cancelled())
        rule = walk.shared.settings.join
        shown = [outcome for outcome in self.outcomes if outcome.branch.outcome != "cancelled"]
        if rule.order == "number":
            shown.sort(key=lambda outcome: BranchPath.parse(outcome.branch.path))
        self.joined = tuple(outcome.joined() for outcome in shown)
        for outcome in self.joined:
            walk.recorder.absorb(outcome)
        walk.recorder.open(Kind.client, self._edges())
        forks = {str(planned.path): planned.fork for planned in (*self.plan.started, *self.plan.refused)}
        branches = [_as_joined(forks[outcome.branch.path], outcome) for outcome in self.joined]
        walk.context = join_context(walk.context, branches, dialect, walk.shared.engine.encode)
        if walk.parser is not None:
            walk.parser.joined()
        walk.recorder.close()
        trigger = self.decision.trigger if self.decision else None
        walk.recorder.block(Block(str(walk.path), walk.blocks, str(rule), trigger))
        walk.outcomes += self.joined

    def _edges(self) -> tuple[Edge, ...]:
        """From the last span of each joined branch to the join."""
        trigger = self.decision.trigger if self.decision else None
        edges = tuple(
            Edge(outcome.spans[-1].id, "trigger" if outcome.branch.path == trigger else "join")
            for outcome in self.joined
            if outcome.spans
        )
        return edges or self.walk.recorder.last


def _as_joined(fork: Fork, outcome: Outcome) -> Joined:
    return Joined(fork, outcome.context(fork.start))


def end_at_join(walk: Walk, outcomes: Sequence[Outcome], decision: Decision | None) -> End | None:
    """Whether the walk ends at this join, and why."""
    if decision is not None and decision.failed:
        failed = next(outcome.branch for outcome in outcomes if outcome.branch.path == decision.trigger)
        return End("branch_failed", f"branch {failed.path} failed: {failed.detail}")
    truncated = [outcome.branch.path for outcome in outcomes if outcome.branch.outcome == "truncated"]
    if truncated and walk.shared.settings.dialect.truncated == "end":
        return End("truncated", f"branch {truncated[0]} ended without its closing tag")
    if not walk.shared.ledger.may_fork and all(outcome.branch.outcome == "refused" for outcome in outcomes):
        return End(
            "run_branches", f"the run's budget of {walk.shared.settings.budget.run_branches} branches is used up"
        )
    return None
