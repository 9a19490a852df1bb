"""A workflow while it runs: one clock, one budget, one trace and one report over all its steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from apr_agents.dsl.asking import check
from apr_agents.dsl.checked import Checked
from apr_agents.dsl.checks import answer_in
from apr_agents.dsl.frame import Frame, Stopped
from apr_agents.dsl.interpret import run_steps
from apr_agents.dsl.program import Program
from apr_agents.dsl.steps import Reason
from apr_agents.dsl.templates import fill
from apr_agents.dsl.values import Value, as_text
from apr_agents.engines.base import Engine
from apr_agents.errors import WorkflowError
from apr_agents.paths import BranchPath
from apr_agents.runner.answer import answer_of
from apr_agents.runner.journal import Journal
from apr_agents.runner.live import Live
from apr_agents.runner.run import RunResult
from apr_agents.runner.shared import End
from apr_agents.runner.spawner import Spawner

Course = Callable[[Frame], Awaitable[Value]]
"""Runs a workflow's steps in the run's own frame; the value of the last one. Raises Stopped."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a workflow."""

    result: RunResult
    value: Value
    """Its result; null when it did not come so far."""
    answer: str | None
    """The same as text; None when it is nothing."""
    check: str | None
    """The name of the check of the result, or of the last step that has one; None where there is none."""
    verdict: Checked | None

    @property
    def ok(self) -> bool:
        """Whether the run ended as it should, and the check, if there is one, holds."""
        return self.result.ok and (self.verdict is None or self.verdict.ok)


async def in_order(frame: Frame) -> Value:
    """The course of a workflow that runs in this process from its first step to its last."""
    return await run_steps(frame, ("steps",), frame.program.workflow.steps)


class LiveWorkflow(Live):
    """A workflow while it runs. `answered()` is its state at any time, whole at the end."""

    def __init__(
        self,
        program: Program,
        engine: Engine,
        values: Mapping[str, Value],
        spawner: Spawner,
        journal: Journal | None = None,
        run_id: str | None = None,
        course: Course = in_order,
    ) -> None:
        super().__init__(engine, program.settings, spawner, journal, run_id)
        self._program = program
        self._values = values
        self._course = course
        self._frame: Frame | None = None
        self._value: Value = None

    async def _go(self) -> End:
        budget = self._settings.budget
        frame = Frame(
            self._program, self._shared(), BranchPath(), self._recorder, self._values, budget.tokens, self._deadline
        )
        self._frame = frame
        try:
            value = await self._course(frame)
            self._value = self._result(frame, value)
        except Stopped as stopped:
            self._value = frame.partial if self._program.alone else None
            return stopped.plain if self._program.alone else stopped.end
        return End("eos")

    def _result(self, frame: Frame, value: Value) -> Value:
        """What comes out behind the last step, whose value this is. Raises Stopped."""
        wanted = self._program.workflow.result
        try:
            result = value if wanted is None else fill(wanted, frame.values)
            spec = self._program.workflow.check
            if spec is not None:
                frame.verdict = spec.name, check(frame, spec, as_text(result).strip() or None)
        except WorkflowError as error:
            raise Stopped(End("failed", f"result: {error}")) from error
        return result

    def answered(self) -> Answered:
        """What the workflow has now. Before its end, and after it was left early, `ended` is `cancelled`."""
        frame = self._frame
        value, verdict = self._now(), frame.verdict if frame else None
        name, said = verdict or (None, None)
        answer = as_text(value).strip() or None
        ended, detail = self._ending()
        texts = frame.texts if frame else []
        result = RunResult(
            answer=answer or "",
            text="\n".join(texts),
            ended=ended,
            detail=detail,
            outcomes=tuple(frame.outcomes) if frame else (),
            trace=self._trace(frame.response if frame else None, may_fork=self._may_fork),
        )
        return Answered(result, value, answer, name, said)

    def _now(self) -> Value:
        """The result; of a question that was cancelled, what there is of its answer."""
        step = self._program.workflow.steps[0]
        texts = self._frame.texts if self._frame and self._end is None else []
        if self._program.alone and isinstance(step, Reason) and step.items is None and texts:
            return answer_in(answer_of(texts[-1], self._settings.dialect), step.answer)
        return self._value

    @property
    def _may_fork(self) -> bool:
        steps = self._program.workflow.steps
        return self._settings.mode == "adaptive" and any(isinstance(step, Reason) for step in steps)
