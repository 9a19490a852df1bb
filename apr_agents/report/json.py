"""A report, and the whole result of a run, as plain JSON values. Their schema is in `apr_agents.report.schema`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from apr_agents.accounting import Report
from apr_agents.plain import to_plain


@dataclass(frozen=True, slots=True)
class Check:
    """What a check of the answer found."""

    name: str
    """As in the workflow."""
    ok: bool
    """Whether it holds."""
    detail: str
    """Why, in one line."""


@dataclass(frozen=True, slots=True)
class RunOutput:
    """What `apr run --json` prints: one object a run."""

    __pydantic_config__: ClassVar[dict[str, object]] = {"use_attribute_docstrings": True, "extra": "forbid"}
    """For the schema of this and of everything inside."""

    answer: str | None
    """Null when the run ended without one."""
    text: str
    """Everything behind the prompt, as joined, control tags included."""
    ended: str
    """`answered`, or the bound or failure that ended the run."""
    verdict: Check | None
    """Null when nothing was checked."""
    error: str | None
    """One line; null when the run was answered."""
    run_id: str
    """Another for each run."""
    engine: str
    """What the engine calls itself."""
    dialect: str
    """The dialect's name."""
    mode: Literal["adaptive", "sequential"]
    """Whether the model could fork."""
    notes: tuple[str, ...]
    """What was repaired or refused on the way."""
    report: Report
    """The account."""


def to_json(report: Report) -> dict[str, Any]:
    """This report as plain JSON values, every field under its name."""
    return to_plain(report)


def run_to_json(output: RunOutput) -> dict[str, Any]:
    """This run's result as plain JSON values, every field under its name."""
    return to_plain(output)
