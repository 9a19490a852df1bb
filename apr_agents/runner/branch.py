"""What a branch is before it starts, and how a call, or a refusal, becomes an outcome."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from apr_agents.context import Context
from apr_agents.errors import CallError
from apr_agents.events import Outline
from apr_agents.glue import Fork, result_context
from apr_agents.paths import BranchPath
from apr_agents.runner.budget import Budget
from apr_agents.runner.calls import Call, called_by
from apr_agents.runner.limits import limited
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.recorder import Recorder
from apr_agents.runner.shared import Shared, place
from apr_agents.trace import Branch, Kind

How = Literal["done", "truncated", "failed", "cancelled", "refused"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A branch that is about to start."""

    path: BranchPath
    outline: Outline
    fork: Fork
    call: Call | None
    """None: sub-reasoning."""

    def branch(self, how: How, detail: str = "") -> Branch:
        """The facts of this branch once it has ended."""
        kind = "reason" if self.call is None else "call"
        return Branch(str(self.path), self.outline.number, self.outline.text, kind, how, joined=False, detail=detail)


def refusal(budget: Budget) -> str:
    """Why a branch over the bounds is refused."""
    return f"refused: a block may have {budget.branches} branches and a run {budget.run_branches}"


def refuse(shared: Shared, planned: Planned) -> Outcome:
    """The outcome of a branch over the bounds: the model is told."""
    detail = refusal(shared.settings.budget)
    context = result_context(planned.fork, detail, shared.settings.dialect, shared.engine.encode)
    return outcome_of(planned, "refused", detail, context, None)


class CallBranch:
    """A call: its result, or its failure, is the branch's text."""

    def __init__(self, shared: Shared, planned: Planned, call: Call, recorder: Recorder) -> None:
        self.recorder = recorder
        self.started = False
        self._shared = shared
        self._planned = planned
        self._call = call
        self._outcome: Outcome | None = None

    async def run(self) -> Outcome:
        self.started = True
        self._outcome = await self._made()
        return self._outcome

    def cancelled(self) -> Outcome:
        start = self._planned.fork.start
        detail = f"cancelled: @{self._call.function.name} had not returned"
        return self._outcome or outcome_of(self._planned, "cancelled", detail, start, self.recorder)

    async def _made(self) -> Outcome:
        try:
            async with place(self._shared, self.recorder):
                self.recorder.open(Kind.call)
                with called_by(self._shared.run_id, str(self._planned.path)):
                    function = self._call.function
                    call = partial(function.run, self._call.arguments)
                    text = await limited(function, self._shared.engine.clock, call)
        except CallError as error:
            self.recorder.close("failed")
            return self._ended("failed", str(error), f"failed: {error}")
        except BaseException:  # a cancellation, too: no span stays open
            self.recorder.close("cancelled")
            raise
        self.recorder.close()
        return self._ended("done", "", text)

    def _ended(self, how: How, detail: str, text: str) -> Outcome:
        context = result_context(self._planned.fork, text, self._shared.settings.dialect, self._shared.engine.encode)
        return outcome_of(self._planned, how, detail, context, self.recorder)


def outcome_of(planned: Planned, how: How, detail: str, context: Context, recorder: Recorder | None) -> Outcome:
    """The outcome of a branch that has come this far."""
    segments = context.since(planned.fork.start)
    branch = planned.branch(how, detail)
    text = "".join(segment.text for segment in segments)
    if recorder is None:
        return Outcome(branch, text, segments)
    records = recorder.records()
    return Outcome(branch, text, segments, records.spans, records.blocks, records.branches, records.notes)
