"""One block: which branches it has, when it joins, and what the joined context takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from apr_agents.events import Fork as Plan
from apr_agents.glue import Joined, fork_context, join_context
from apr_agents.runner.ahead import Ahead
from apr_agents.runner.branch import Planned, refuse
from apr_agents.runner.calls import find_call
from apr_agents.runner.early import Early
from apr_agents.runner.gathering import Gathering
from apr_agents.runner.joins import Decision
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.shared import End
from apr_agents.runner.spawner import Work
from apr_agents.runner.walk import Walk
from apr_agents.trace import Edge


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


class RunningBlock(Gathering):
    """A block of a walk while it runs: it may be evaluated ahead of its join, and joins into the walk's context."""

    def __init__(
        self, walk: Walk, plan: BranchPlan, works: Mapping[str, Work], own: float | None, early: Early | None
    ) -> None:
        """`own`: the join rule's own deadline, on the engine's clock. `early` has those works that have started."""
        refused = [refuse(walk.shared, planned) for planned in plan.refused]
        super().__init__(walk, walk.shared.settings.join, works, refused, own)
        self._walk = walk
        self._forks = {str(planned.path): planned.fork for planned in (*plan.started, *plan.refused)}
        self._early = early
        self._ahead = Ahead(walk, list(self._forks))
        for outcome in refused:
            self._add_ahead(outcome)

    async def _gather(self) -> None:
        early, shared = self._early, self._walk.shared
        opened = early.hand_over(self._own) if early else shared.spawner.open(shared.engine.clock, self._own)
        async with opened as siblings, self._ahead.open():
            await self._await(siblings, early.works if early else ())
            if not self.late and end_at_join(self._walk, self.outcomes, self.decision) is None:
                await self._ahead.finish()

    def _wait_on(self, outcome: Outcome) -> None:
        self._add_ahead(outcome)
        self._ahead.start()

    def _add_ahead(self, outcome: Outcome) -> None:
        if self._ahead.on:
            self._ahead.add(outcome, self._as_joined(outcome))

    def _restore(self, name: str, outcome: Outcome) -> None:
        super()._restore(name, outcome)
        evaluated = outcome.evaluated(self._forks[name].start)
        if evaluated is not None:
            self._walk.shared.prefixes.add(evaluated, unevaluated=1)

    def _glue(self) -> None:
        walk, shared = self._walk, self._walk.shared
        branches = [self._as_joined(outcome) for outcome in self.joined]
        walk.context = join_context(walk.context, branches, shared.settings.dialect, shared.engine.encode)
        walk.planning.joined()

    def _edges(self) -> tuple[Edge, ...]:
        """To the join, behind its wait for a request ahead too."""
        return self._ahead.waited(super()._edges())

    def _as_joined(self, outcome: Outcome) -> Joined:
        fork = self._forks[outcome.branch.path]
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
