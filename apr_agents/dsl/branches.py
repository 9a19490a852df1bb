"""Branches that the author gives: each a frame of its own, whose value comes back as an outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from apr_agents.context import Origin, Segment
from apr_agents.dsl.frame import Frame, Stopped
from apr_agents.dsl.values import Value, as_json
from apr_agents.events import Outline
from apr_agents.paths import BranchPath
from apr_agents.runner.branch import How
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.recorder import Recorder
from apr_agents.trace import Branch

Body = Callable[[Frame], Awaitable[Value]]
"""What a branch does in its frame. Raises Stopped."""


@dataclass(frozen=True, slots=True)
class Given:
    """A branch before it starts."""

    path: BranchPath
    outline: Outline
    values: dict[str, Value]
    """What it knows beside the values around it."""
    body: Body

    def branch(self, how: How, detail: str = "") -> Branch:
        """The facts of this branch once it has ended."""
        number, text = self.outline.number, self.outline.text
        return Branch(str(self.path), number, text, "reason", how, joined=False, detail=detail)

    def outcome(self, how: How, detail: str, value: Value, recorder: Recorder | None = None) -> Outcome:
        """How it ended. The value is its text, as JSON, so that it can be stored like any other outcome."""
        text = as_json(value)
        segments = (Segment(text, None, Origin.branch),)
        branch = self.branch(how, detail)
        if recorder is None:
            return Outcome(branch, text, segments)
        records = recorder.records()
        return Outcome(branch, text, segments, records.spans, records.blocks, records.branches, records.notes)


class StepsBranch:
    """The steps of one branch, as work. Its mutable state is whether it started, and its outcome."""

    def __init__(self, given: Given, frame: Frame) -> None:
        """`frame`: its own."""
        self.started = False
        self._given = given
        self._frame = frame
        self._outcome: Outcome | None = None

    async def run(self) -> Outcome:
        self.started = True
        try:
            value = await self._given.body(self._frame)
        except Stopped as stopped:
            self._outcome = self._ended("failed", stopped.end.detail, None)
        else:
            self._outcome = self._ended("done", "", value)
        return self._outcome

    def cancelled(self) -> Outcome:
        return self._outcome or self._ended("cancelled", "cancelled", None)

    def _ended(self, how: How, detail: str, value: Value) -> Outcome:
        return self._given.outcome(how, detail, value, self._frame.recorder)
