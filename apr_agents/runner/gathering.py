"""The branches of a block, whoever planned them: started together, awaited until the join rule decides, joined."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from apr_agents.events import Outline
from apr_agents.paths import BranchPath
from apr_agents.runner.joins import Decision, JoinRule, decide, meets
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.progress import Ended, Forked, Synthesis
from apr_agents.runner.recorder import Recorder
from apr_agents.runner.resumed import check_plan
from apr_agents.runner.shared import Shared
from apr_agents.runner.spawner import Siblings, Work
from apr_agents.trace import Block, Edge, Kind


class Parent(Protocol):
    """What forks at a block and goes on behind its join, such as a walk."""

    shared: Shared
    path: BranchPath
    recorder: Recorder
    blocks: int
    """How many it has opened so far."""
    allowance: int
    """Tokens that it may still generate, its branches included."""
    deadline: float
    """On the engine's clock."""
    outcomes: list[Outcome]
    """Of the branches of its blocks."""


@dataclass(frozen=True, slots=True)
class Share:
    """What each branch of a block may use."""

    tokens: int
    """A fair share each, and one kept for what follows: what a branch gets does not depend on who asks first."""
    deadline: float
    """The earliest of those around it, on the engine's clock."""
    own: float | None
    """The join rule's own deadline, at which the block joins; None: it has none."""


def share_of(parent: Parent, rule: JoinRule, branches: int) -> Share:
    """What each of so many branches may use, that fork now."""
    own = None if rule.seconds is None else parent.shared.engine.clock.now() + rule.seconds
    deadline = parent.deadline if own is None else min(own, parent.deadline)
    return Share(parent.allowance // (branches + 1), deadline, own)


class Gathering:
    """A block's branches while they run.

    Its mutable state is the outcomes so far, in the order of their completion, which branches have not ended, how many
    outcomes meet the join rule, and how the join was decided.
    """

    def __init__(
        self, parent: Parent, rule: JoinRule, works: Mapping[str, Work], refused: Iterable[Outcome], own: float | None
    ) -> None:
        """`works`: what the branches do, by path, in the order of their numbers. `own`: the rule's own deadline."""
        self.outcomes = list(refused)
        self.joined: tuple[Outcome, ...] = ()
        self.decision: Decision | None = None
        self.late = False
        """Whether the rule's own deadline came first."""
        self._parent = parent
        self._rule = rule
        self._works = works
        self._pending = dict.fromkeys(works)
        self._own = own
        self._met = 0
        self._number = parent.blocks
        self._forked = parent.recorder.now()
        self._record()
        for outcome in self.outcomes:
            parent.recorder.absorb(outcome)

    async def run(self, outlines: tuple[Outline, ...]) -> None:
        """From the fork to the join; `outlines` are told."""
        shared, path = self._parent.shared, str(self._parent.path)
        await shared.tell(Forked(path, self._number, outlines))
        try:
            await self._gather()
        finally:
            # Also when the run is cancelled here: what has finished is joined and kept.
            self._join()
        await shared.tell(Synthesis(path, self._number, tuple(outcome.branch.path for outcome in self.joined)))

    async def _gather(self) -> None:
        shared = self._parent.shared
        async with shared.spawner.open(shared.engine.clock, self._own) as siblings:
            await self._await(siblings)

    async def _await(self, siblings: Siblings, begun: Collection[str] = ()) -> None:
        """Run the branches until the join rule decides, or all have ended; the others are cancelled in the engine."""
        for name, work in self._works.items():
            if name not in begun:
                siblings.start(name, work)
        while self._pending and self.decision is None and not self.late:
            outcome = await self._next(siblings)
            if outcome is None:
                self.late = True
                continue
            self.decision = self._decide(outcome)
            if self._pending and self.decision is None:
                self._wait_on(outcome)
        for name in self._pending:
            siblings.cancel(name)
        while self._pending:
            await self._next(siblings)

    def _wait_on(self, outcome: Outcome) -> None:
        """This branch has ended, and the join waits for others."""

    async def _next(self, siblings: Siblings) -> Outcome | None:
        """The next branch that ended, booked; None once at the deadline."""
        ended = await siblings.next()
        while ended is not None and ended[0] not in self._pending:  # a call of a block that was never whole
            ended = await siblings.next()
        if ended is None:
            return None
        name, outcome = ended
        self._book(name, outcome)
        seconds = outcome.spans[-1].end - outcome.spans[0].start if outcome.spans else 0.0
        await self._parent.shared.tell(Ended(outcome.branch, outcome.tokens, seconds))
        return outcome

    def _decide(self, outcome: Outcome) -> Decision | None:
        path = outcome.branch.path
        try:
            self._met += meets(self._rule, outcome)
        except Exception as error:  # the caller's predicate may raise anything
            return Decision(path, "failed", f"the join rule's predicate raised {type(error).__name__}: {error}")
        return decide(self._rule, outcome, self._met)

    def _book(self, name: str, outcome: Outcome) -> None:
        del self._pending[name]
        self._parent.recorder.absorb(outcome)
        self._parent.allowance -= outcome.tokens
        self.outcomes.append(outcome)
        if not self._works[name].started:
            self._restore(name, outcome)

    def _restore(self, name: str, outcome: Outcome) -> None:
        """A branch ran before this run was resumed: bring in what it used then."""
        parent = self._parent
        check_plan(self._works[name].cancelled().branch, outcome)
        parent.deadline -= parent.recorder.reach(outcome.spans)
        parent.shared.ledger.restore(outcome.tokens, len(outcome.branches), outcome.requests, outcome.retries)

    def _join(self) -> None:
        """Join what has ended. Awaits nothing: it runs when the run is cancelled."""
        parent = self._parent
        for name in tuple(self._pending):
            self._book(name, self._works[name].cancelled())
        shown = [outcome for outcome in self.outcomes if outcome.branch.outcome != "cancelled"]
        if self._rule.order == "number":
            shown.sort(key=lambda outcome: BranchPath.parse(outcome.branch.path))
        self.joined = tuple(outcome.joined() for outcome in shown)
        for outcome in self.joined:
            parent.recorder.absorb(outcome)
        parent.recorder.open(Kind.client, self._edges())
        self._glue()
        parent.recorder.close()
        self._record()
        parent.outcomes += (*self.joined, *(one for one in self.outcomes if one.branch.outcome == "cancelled"))

    def _glue(self) -> None:
        """Put what has joined into a context, where there is one."""

    def _record(self) -> None:
        trigger = self.decision.trigger if self.decision else None
        self._parent.recorder.block(Block(str(self._parent.path), self._number, str(self._rule), trigger))

    def _edges(self) -> tuple[Edge, ...]:
        """To the join: from the last span of each joined branch, and from the wait for a deadline."""
        trigger = self.decision.trigger if self.decision else None
        recorder = self._parent.recorder
        before = recorder.last
        waited = (recorder.waited(self._forked),) if self.late else ()
        edges = tuple(
            Edge(outcome.spans[-1].id, "trigger" if outcome.branch.path == trigger else "join")
            for outcome in self.joined
            if outcome.spans
        )
        return (*edges, *waited) or before
