"""The driver: walk along a context, fork at a block, run its branches at the same time, join them, go on.

The one loop behind every door. A branch of sub-reasoning is the same walk one level down.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

from apr_agents.context import Context, Origin, Segment
from apr_agents.errors import BudgetError, ContextFull, EngineError
from apr_agents.events import Fork as Plan
from apr_agents.glue import close_branch, result_context
from apr_agents.runner.block import RunningBlock, end_at_join, plan_branches
from apr_agents.runner.branch import CallBranch, How, Planned, outcome_of
from apr_agents.runner.early import Early
from apr_agents.runner.gathering import Share, share_of
from apr_agents.runner.opening import begin
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.recorder import Recorder
from apr_agents.runner.resumed import decode
from apr_agents.runner.shared import End, Shared
from apr_agents.runner.spawner import Work
from apr_agents.runner.walk import Walk
from apr_agents.trace import Kind


async def go(walk: Walk, kind: Kind = Kind.decode) -> End:
    """Walk to the end, and say why it ended there; the first request is of this kind.

    Bounds and engine failures are ends; only faults raise.
    """
    end: End | None = None
    while end is None:
        early = Early(walk) if walk.planning.eager and not walk.given else None
        async with early or nullcontext():
            try:
                plan = await begin(walk) if walk.given else await _decode(walk, kind, early)
            except BudgetError as error:
                return End("tokens", str(error))
            except ContextFull as error:
                return End("context", str(error))
            except EngineError as error:
                return End("failed", str(error))
            end = walk.ended if plan is None else await run_block(walk, plan, early)
        kind = Kind.decode if plan is None else Kind.synthesis
    await walk.finish()
    return end


async def _decode(walk: Walk, kind: Kind, early: Early | None) -> Plan | None:
    """One request; the plan of the block that its text opened."""
    await decode(walk, kind, early)
    return walk.planning.take()


async def run_block(walk: Walk, plan: Plan, early: Early | None = None) -> End | None:
    """Fork this plan's branches from the walk and join them into its context; the end of the walk, if it ends here.

    `early` has those of its calls that have started.
    """
    if early is not None:
        early.settle()
    begun: Mapping[str, Work] = early.works if early is not None else {}
    walk.blocks += 1
    branches = plan_branches(walk, plan, begun)
    if branches.untold:
        await walk.note(f"block {walk.blocks}: {branches.untold} more refused outlines are not shown to the model")
    share = share_of(walk, walk.shared.settings.join, len(branches.started))
    works: dict[str, Work] = {}
    for planned in branches.started:
        name = str(planned.path)
        works[name] = begun[name] if name in begun else _work(walk, planned, share)
        if name in begun:
            walk.recorder.forked(name)
    await walk.shared.seal()
    block = RunningBlock(walk, branches, works, share.own, early)
    await block.run(plan.outlines)
    return end_at_join(walk, block.outcomes, block.decision)


def _work(walk: Walk, planned: Planned, share: Share) -> Work:
    recorder = walk.recorder.child(str(planned.path))
    if planned.call is not None:
        return CallBranch(walk.shared, planned, planned.call, recorder)
    return ReasonBranch(walk.shared, planned, recorder, share.tokens, share.deadline)


class ReasonBranch:
    """Sub-reasoning: a walk from the fork to the branch's closing tag."""

    def __init__(self, shared: Shared, planned: Planned, recorder: Recorder, allowance: int, deadline: float) -> None:
        self.recorder = recorder
        self.started = False
        self._shared = shared
        self._planned = planned
        self._outcome: Outcome | None = None
        closing = shared.settings.dialect.closing(planned.fork.number)
        self._walk = Walk(shared, planned.path, planned.fork.start, recorder, allowance, closing, deadline)

    async def run(self) -> Outcome:
        self.started = True
        end = await go(self._walk)
        self._outcome = self._ended(end)
        return self._outcome

    def cancelled(self) -> Outcome:
        if self._outcome is not None:
            return self._outcome
        end = self._walk.ended
        return self._ended(end) if end else self._outcome_of("cancelled", "cancelled", self._walk.context)

    def _ended(self, end: End) -> Outcome:
        if end.reason == "closed":
            return self._outcome_of("done", "", self._walk.context)
        how = "failed" if end.reason in ("failed", "branch_failed") else "truncated"
        return self._outcome_of(how, end.detail or "it ended without its closing tag", self._closed(end))

    def _closed(self, end: End) -> Context:
        """Its context, closed by the client; a failure without any text is shown as text."""
        shared, context = self._shared, self._walk.context
        if end.reason == "failed" and context is self._planned.fork.start:
            return result_context(
                self._planned.fork, f"failed: {end.detail}", shared.settings.dialect, shared.engine.encode
            )
        if end.reason == "eos":
            context = _without_eos(context)
        return close_branch(self._planned.fork, context, shared.settings.dialect, shared.engine.encode)

    def _outcome_of(self, how: How, detail: str, context: Context) -> Outcome:
        return outcome_of(self._planned, how, detail, context, self.recorder)


def _without_eos(context: Context) -> Context:
    """This context without the end-of-text token that it ends with: it was sampled and never evaluated."""
    last = context.segment
    if context.parent is None or last.origin is not Origin.generated or not last.ids:
        return context
    return context.parent.extend(Segment(last.text, last.ids[:-1], Origin.generated))
