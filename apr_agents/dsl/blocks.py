"""A block of branches that the author gives: started together, joined by a rule, in the run's own trace and budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from apr_agents.dsl.branches import Body, Given, StepsBranch
from apr_agents.dsl.frame import Frame, Stopped
from apr_agents.dsl.values import Value, from_json
from apr_agents.events import Outline
from apr_agents.runner.joins import Decision, JoinRule, decide, meets
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.progress import Ended, Forked, Synthesis
from apr_agents.runner.resumed import check_plan
from apr_agents.runner.shared import End
from apr_agents.runner.spawner import Siblings
from apr_agents.trace import Block, Edge, Kind


@dataclass(frozen=True, slots=True)
class Job:
    """What one branch is to do."""

    name: str
    """Its outline: for people."""
    values: dict[str, Value]
    body: Body


async def gathered(frame: Frame, jobs: Sequence[Job], rule: JoinRule) -> list[Value]:
    """The value of each job, in order; null for one that failed, was cancelled or refused. Raises Stopped where the
    rule ends the run, and where nothing succeeded and something failed."""
    if not jobs:
        return []
    frame.blocks += 1
    given = [
        Given(frame.path.child(frame.blocks, place), Outline(str(place), job.name), job.values, job.body)
        for place, job in enumerate(jobs, 1)
    ]
    admitted = frame.shared.ledger.admit(len(given))
    block = _Block(frame, given[:admitted], given[admitted:], rule)
    if frame.shared.journal is not None:
        await frame.shared.journal.seal()
    outlines = tuple(one.outline for one in given)
    await frame.shared.tell(Forked(str(frame.path), frame.blocks, outlines))
    try:
        await block.gather()
    finally:
        # Also when the run is cancelled here: what has finished is kept.
        block.join()
    joined = tuple(outcome.branch.path for outcome in block.joined)
    await frame.shared.tell(Synthesis(str(frame.path), frame.blocks, joined))
    block.check()
    ended = {outcome.branch.path: outcome for outcome in block.outcomes}
    return [from_json(ended[str(one.path)].text) for one in given]


class _Block:
    """A block while it runs. Its mutable state is the outcomes so far, and how the join was decided."""

    def __init__(self, frame: Frame, started: Sequence[Given], refused: Sequence[Given], rule: JoinRule) -> None:
        shared = frame.shared
        self.outcomes: list[Outcome] = []
        self.joined: tuple[Outcome, ...] = ()
        self._frame = frame
        self._rule = rule
        self._number = frame.blocks
        self._given = {str(one.path): one for one in started}
        self._own = None if rule.seconds is None else shared.engine.clock.now() + rule.seconds
        self._forked = frame.recorder.now()
        # A fair share each, and one kept for what follows.
        share = frame.allowance // (len(started) + 1)
        self._works = {name: self._work(one, share) for name, one in self._given.items()}
        self._decision: Decision | None = None
        self._late = False
        self._met = 0
        self._record()
        budget = shared.settings.budget
        detail = f"refused: a block may have {budget.branches} branches and a run {budget.run_branches}"
        for one in refused:
            outcome = one.outcome("refused", detail, None)
            frame.recorder.absorb(outcome)
            self.outcomes.append(outcome)

    def _work(self, given: Given, share: int) -> StepsBranch:
        frame = self._frame
        deadline = frame.deadline if self._own is None else min(self._own, frame.deadline)
        recorder = frame.recorder.child(str(given.path))
        values = {**frame.values, **given.values}
        shared = replace(frame.shared, watched=_always) if self._rule.cancels else frame.shared
        return StepsBranch(given, Frame(frame.program, shared, given.path, recorder, values, share, deadline))

    async def gather(self) -> None:
        """Run the branches until the join rule decides, or all have ended; the others are cancelled in the engine."""
        shared = self._frame.shared
        async with shared.spawner.open(shared.engine.clock, self._own) as siblings:
            for name, work in self._works.items():
                siblings.start(name, work)
            pending = dict.fromkeys(self._works)
            while pending and self._decision is None and not self._late:
                outcome = await self._next(siblings, pending)
                self._late = outcome is None
                if outcome is not None:
                    self._met += meets(self._rule, outcome)
                    self._decision = decide(self._rule, outcome, self._met)
            for name in pending:
                siblings.cancel(name)
            while pending:
                await self._next(siblings, pending)

    def join(self) -> None:
        """Record the join. Awaits nothing: it runs when the run is cancelled."""
        frame = self._frame
        known = {outcome.branch.path for outcome in self.outcomes}
        for name, work in self._works.items():
            if name not in known:
                self._book(name, work.cancelled())
        shown = [outcome for outcome in self.outcomes if outcome.branch.outcome != "cancelled"]
        order = {name: place for place, name in enumerate(self._given)}
        shown.sort(key=lambda outcome: order.get(outcome.branch.path, len(order)))
        self.joined = tuple(outcome.joined() for outcome in shown)
        for outcome in self.joined:
            frame.recorder.absorb(outcome)
        frame.recorder.open(Kind.client, self._edges())
        frame.recorder.close()
        self._record()
        frame.outcomes += (*self.joined, *(one for one in self.outcomes if one.branch.outcome == "cancelled"))

    def check(self) -> None:
        """Raises Stopped where the step cannot go on from this join."""
        if self._decision is not None and self._decision.ends is not None:
            raise Stopped(End(self._decision.ends, self._decision.detail))
        if any(outcome.ok for outcome in self.outcomes):
            return
        for outcome in self.outcomes:
            branch = outcome.branch
            if branch.outcome in ("failed", "refused"):
                reason = "run_branches" if branch.outcome == "refused" else "failed"
                raise Stopped(End(reason, f"no branch succeeded; {branch.path}: {branch.detail}"))

    async def _next(self, siblings: Siblings, pending: dict[str, None]) -> Outcome | None:
        """The next branch that ended, booked; None once at the deadline."""
        ended = await siblings.next()
        if ended is None:
            return None
        name, outcome = ended
        del pending[name]
        self._book(name, outcome)
        seconds = outcome.spans[-1].end - outcome.spans[0].start if outcome.spans else 0.0
        await self._frame.shared.tell(Ended(outcome.branch, outcome.tokens, seconds))
        return outcome

    def _book(self, name: str, outcome: Outcome) -> None:
        frame = self._frame
        frame.recorder.absorb(outcome)
        frame.allowance -= outcome.tokens
        self.outcomes.append(outcome)
        if not self._works[name].started:
            # It ran before this run was resumed: bring in what it used then.
            check_plan(self._given[name].branch("done"), outcome)
            frame.deadline -= frame.recorder.reach(outcome.spans)
            frame.shared.ledger.restore(outcome.tokens, len(outcome.branches), outcome.requests, outcome.retries)

    def _record(self) -> None:
        trigger = self._decision.trigger if self._decision else None
        self._frame.recorder.block(Block(str(self._frame.path), self._number, str(self._rule), trigger))

    def _edges(self) -> tuple[Edge, ...]:
        """To the join: from the last span of each joined branch, and from the wait for a deadline."""
        recorder, trigger = self._frame.recorder, self._decision.trigger if self._decision else None
        before = recorder.last
        waited = (recorder.waited(self._forked),) if self._late else ()
        edges = tuple(
            Edge(outcome.spans[-1].id, "trigger" if outcome.branch.path == trigger else "join")
            for outcome in self.joined
            if outcome.spans
        )
        return (*edges, *waited) or before


def _always() -> bool:
    return True
