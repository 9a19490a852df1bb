"""Calls that are made once: what they returned is kept where a run can be resumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apr_agents.dsl.calling import called
from apr_agents.dsl.frame import Frame
from apr_agents.dsl.values import Value
from apr_agents.plain import Json, from_plain, to_plain
from apr_agents.trace import Span


@dataclass(frozen=True, slots=True)
class Returned:
    """What a call of a branch that may be resumed leaves in the journal."""

    value: Value
    spans: tuple[Span, ...]
    notes: tuple[str, ...]


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
        return to_plain(Returned(value, *recorder.since(mark)))

    data = await journal.keep(f"{frame.path}/call#{mark[0] + 1}", work)
    kept = from_plain(Returned, data, "call of a workflow")
    if not made:
        frame.deadline -= recorder.restore(kept.spans, kept.notes)
    return kept.value
