"""What a step of a resumable run leaves for a process that goes on behind it: plain JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from apr_agents.dsl.checked import Checked
from apr_agents.dsl.frame import Frame
from apr_agents.errors import ContextError
from apr_agents.runner.recorder import Records
from apr_agents.runner.spent import requests_of, retries_of, tokens_of

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Extent = tuple[tuple[int, int, int], int]
"""How much a frame had recorded, and how many texts it had."""


@dataclass(frozen=True, slots=True)
class Past:
    """What one step of the run's own recorded, and where its counters stood behind it."""

    records: Records
    texts: tuple[str, ...]
    blocks: int
    requests: int
    verdict: tuple[str, Checked] | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return _adapter().dump_python(self, mode="json")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Past:
        """The inverse. Raises ContextError for anything else."""
        from pydantic import ValidationError

        try:
            return _adapter().validate_python(data)
        except ValidationError as error:
            raise ContextError(f"not a stored step of a workflow: {error!r}") from error


def extent(frame: Frame) -> Extent:
    """How far a frame has come."""
    return frame.recorder.extent(), len(frame.texts)


def past(frame: Frame, since: Extent) -> Past:
    """What a frame has behind this extent."""
    texts = tuple(frame.texts[since[1] :])
    return Past(frame.recorder.records(since[0]), texts, frame.blocks, frame.requests, frame.verdict)


def relive(frame: Frame, step: Past) -> None:
    """Bring a frame to where it was behind a step of another process."""
    spans = step.records.spans
    tokens = tokens_of(spans)
    frame.shared.ledger.restore(tokens, len(step.records.branches), requests_of(spans), retries_of(spans))
    frame.deadline -= frame.recorder.resume(step.records)
    frame.allowance -= tokens
    frame.blocks, frame.requests, frame.verdict = step.blocks, step.requests, step.verdict
    frame.before += step.texts


@cache
def _adapter() -> TypeAdapter[Past]:
    from pydantic import TypeAdapter

    return TypeAdapter(Past)
