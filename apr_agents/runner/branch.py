"""What a branch is before it starts, and how a call, or a refusal, becomes an outcome."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import anyio

from apr_agents.clock import Clock
from apr_agents.context import Context
from apr_agents.errors import CallError
from apr_agents.events import Outline
from apr_agents.glue import Fork, result_context
from apr_agents.paths import BranchPath
from apr_agents.runner.budget import Budget
from apr_agents.runner.calls import Call, called_by
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.recorder import Recorder
from apr_agents.runner.shared import Shared, place
from apr_agents.runner.spawner import background
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
                    text = await self._result()
        except CallError as error:
            self.recorder.close("failed")
            return self._ended("failed", str(error), f"failed: {error}")
        except BaseException:
            self.recorder.close("cancelled")
            raise
        self.recorder.close()
        return self._ended("done", "", text)

    async def _result(self) -> str:
        function, clock = self._call.function, self._shared.engine.clock
        if function.seconds is None:
            return await function.run(self._call.arguments)
        with anyio.CancelScope() as scope:
            async with background(partial(_expire, clock, clock.now() + function.seconds, scope)):
                return await function.run(self._call.arguments)
        raise CallError(f"@{function.name} did not return within {function.seconds:g} s")

    def _ended(self, how: How, detail: str, text: str) -> Outcome:
        context = result_context(self._planned.fork, text, self._shared.settings.dialect, self._shared.engine.encode)
        return outcome_of(self._planned, how, detail, context, self.recorder)


async def _expire(clock: Clock, moment: float, scope: anyio.CancelScope) -> None:
    await clock.sleep_until(moment)
    scope.cancel()


def outcome_of(planned: Planned, how: How, detail: str, context: Context, recorder: Recorder | None) -> Outcome:
    """The outcome of a branch that has come this far."""
    segments = context.since(planned.fork.start)
    branch = planned.branch(how, detail)
    text = "".join(segment.text for segment in segments)
    if recorder is None:
        return Outcome(branch, text, segments)
    records = recorder.records()
    return Outcome(branch, text, segments, records.spans, records.blocks, records.branches, records.notes)
