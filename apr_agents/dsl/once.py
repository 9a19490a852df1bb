"""Calls that are made once: what they returned is kept where a run can be resumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from apr_agents.dsl.calling import called
from apr_agents.dsl.frame import Frame
from apr_agents.dsl.values import Value
from apr_agents.errors import ContextError
from apr_agents.runner.journal import Json
from apr_agents.trace import Span

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class Returned:
    """What a call of a branch that may be resumed leaves in the journal."""

    value: Value
    spans: tuple[Span, ...]
    notes: tuple[str, ...]

    def to_json(self) -> Json:
        """Plain JSON values."""
        return _adapter().dump_python(self, mode="json")

    @classmethod
    def from_json(cls, data: Json) -> Returned:
        """The inverse. Raises ContextError for anything else."""
        from pydantic import ValidationError

        try:
            return _adapter().validate_python(data)
        except ValidationError as error:
            raise ContextError(f"not a stored call of a workflow: {error!r}") from error


async def called_once(frame: Frame, name: str, arguments: Mapping[str, Value]) -> Value:
    """As `called`, by a step of its own: what it returned is kept where a journal is, and not asked for again."""
    journal, recorder = frame.shared.journal, frame.recorder
    if journal is None:
        return await called(frame, name, arguments)
    made, mark = False, recorder.mark()

    async def work() -> Json:
        nonlocal made
        made = True
        value = await called(frame, name, arguments)
        return Returned(value, *recorder.since(mark)).to_json()

    kept = Returned.from_json(await journal.keep(f"{frame.path}/call#{mark[0] + 1}", work))
    if not made:
        frame.deadline -= recorder.restore(kept.spans, kept.notes)
    return kept.value


@cache
def _adapter() -> TypeAdapter[Returned]:
    from pydantic import TypeAdapter

    return TypeAdapter(Returned)
