"""A block of branches that the author gives: started together, joined by a rule, in the run's own trace and budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from apr_agents.dsl.branches import Body, Given, StepsBranch
from apr_agents.dsl.frame import Frame, Stopped
from apr_agents.dsl.values import Value, from_json
from apr_agents.events import Outline
from apr_agents.runner.branch import refusal
from apr_agents.runner.gathering import Gathering, Share, share_of
from apr_agents.runner.joins import JoinRule
from apr_agents.runner.shared import End


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
    shared = frame.shared
    admitted = shared.ledger.admit(len(given))
    share = share_of(frame, rule, admitted)
    works = {str(one.path): _work(frame, one, rule, share) for one in given[:admitted]}
    refused = [one.outcome("refused", refusal(shared.settings.budget), None) for one in given[admitted:]]
    block = Gathering(frame, rule, works, refused, share.own)
    await shared.seal()
    await block.run(tuple(one.outline for one in given))
    _check(block)
    ended = {outcome.branch.path: outcome for outcome in block.outcomes}
    return [from_json(ended[str(one.path)].text) for one in given]


def _work(frame: Frame, given: Given, rule: JoinRule, share: Share) -> StepsBranch:
    recorder = frame.recorder.child(str(given.path))
    values = {**frame.values, **given.values}
    shared = replace(frame.shared, watched=_always) if rule.cancels else frame.shared
    inner = Frame(frame.program, shared, given.path, recorder, values, share.tokens, share.deadline)
    return StepsBranch(given, inner)


def _always() -> bool:
    return True


def _check(block: Gathering) -> None:
    """Raises Stopped where the step cannot go on from this join."""
    if block.decision is not None and block.decision.ends is not None:
        raise Stopped(End(block.decision.ends, block.decision.detail))
    if any(outcome.ok for outcome in block.outcomes):
        return
    for outcome in block.outcomes:
        branch = outcome.branch
        if branch.outcome in ("failed", "refused"):
            reason = "run_branches" if branch.outcome == "refused" else "failed"
            raise Stopped(End(reason, f"no branch succeeded; {branch.path}: {branch.detail}"))
