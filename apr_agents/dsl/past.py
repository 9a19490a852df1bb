"""What a step of a resumable run leaves for a process that goes on behind it: plain JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from apr_agents.dsl.checked import Checked
from apr_agents.dsl.frame import Frame
from apr_agents.dsl.values import Value
from apr_agents.plain import from_plain, to_plain
from apr_agents.runner.recorder import Records
from apr_agents.runner.spent import requests_of, retries_of, tokens_of


@dataclass(frozen=True, slots=True)
class Before:
    """How far a frame had come when a step began."""

    recorded: tuple[int, int, int]
    """The extent of its recorder."""
    texts: int
    """How many it had written."""
    names: Mapping[str, Value]
    """All that had a name, with its value."""
    value: Value
    """Of the step before."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step gave: its value, and what got names. Nothing is in it twice, since all of it is stored."""

    texts: tuple[str, ...]
    """What was written."""
    value: Value
    """The step's own; null where it is elsewhere."""
    source: Literal["own", "text", "before"]
    """Where the step's value is: here, the last of its texts, or the value of the step before."""
    named: tuple[str, ...]
    """The names that the value got."""
    others: Mapping[str, Value]
    """Other values that got names."""

    @classmethod
    def of(cls, texts: tuple[str, ...], value: Value, before: Value, names: Mapping[str, Value]) -> StepResult:
        """`before`: the value of the step before; `names`: all that got a name, with its value."""
        source = "text" if texts and same(texts[-1], value) else "before" if same(before, value) else "own"
        named = tuple(name for name, one in names.items() if same(one, value))
        others = {name: one for name, one in names.items() if name not in named}
        return cls(texts, value if source == "own" else None, source, named, others)

    def value_behind(self, before: Value) -> Value:
        """The step's value; `before`: of the step before."""
        match self.source:
            case "own":
                return self.value
            case "text":
                return self.texts[-1]
            case "before":
                return before

    def names(self, value: Value) -> dict[str, Value]:
        """All that got a name, with its value; `value`: the step's."""
        return {**self.others, **dict.fromkeys(self.named, value)}


def same(one: Value, other: Value) -> bool:
    """Whether the one may stand for the other where values are stored: not as 1 is equal to true, or to 1.0."""
    return one is other or (isinstance(one, str) and one == other)


@dataclass(frozen=True, slots=True)
class Past:
    """What one step of the run's own gave and recorded, and where its counters stood behind it."""

    result: StepResult
    records: Records
    blocks: int
    requests: int
    verdict: tuple[str, Checked] | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return to_plain(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Past:
        """The inverse. Raises ContextError for anything else."""
        return from_plain(cls, data, "step of a workflow")


def begun(frame: Frame, value: Value) -> Before:
    """How far a frame has come; `value`: of its last step."""
    return Before(frame.recorder.extent(), len(frame.texts), dict(frame.values), value)


def ended(frame: Frame, before: Before, value: Value) -> Past:
    """What a frame has since a step began, whose value this is."""
    texts, names = tuple(frame.texts[before.texts :]), before.names
    new = {name: one for name, one in frame.values.items() if name not in names or not same(one, names[name])}
    result = StepResult.of(texts, value, before.value, new)
    return Past(result, frame.recorder.records(before.recorded), frame.blocks, frame.requests, frame.verdict)


def relive(frame: Frame, step: Past, before: Value) -> Value:
    """Bring a frame to where it was behind a step of another process; the step's value. `before`: of the one before."""
    spans = step.records.spans
    tokens = tokens_of(spans)
    frame.shared.ledger.restore(tokens, len(step.records.branches), requests_of(spans), retries_of(spans))
    frame.deadline -= frame.recorder.resume(step.records)
    frame.allowance -= tokens
    frame.blocks, frame.requests, frame.verdict = step.blocks, step.requests, step.verdict
    frame.before += step.result.texts
    value = step.result.value_behind(before)
    frame.values |= step.result.names(value)
    return value
