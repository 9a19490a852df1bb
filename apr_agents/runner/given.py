"""Outlines that the caller gives in place of the model: what they may be, and how a walk begins with their block."""

from __future__ import annotations

from collections.abc import Sequence

from apr_agents.dialects import Dialect
from apr_agents.dialects.limits import DEFAULTS
from apr_agents.errors import DialectError, UsageError
from apr_agents.events import Outline
from apr_agents.runner.budget import Budget


def check_given(outlines: Sequence[str], dialect: Dialect, budget: Budget) -> None:
    """Raises DialectError for a dialect that does not run, UsageError for what cannot be a block's outlines."""
    if not dialect.runs:
        raise DialectError(f"dialect {dialect.name} can be looked at, but not run yet")
    caps = (("dialect.max_outlines", dialect.max_outlines), ("budget.branches", budget.branches))
    for bound, most in (*caps, ("budget.run_branches", budget.run_branches)):
        if most is not None and len(outlines) > most:
            raise UsageError(f"outlines: {len(outlines)} are given, and {bound} is {most}; give fewer or raise it")
    for place, text in enumerate(outlines):
        fault = _fault(text.strip(), dialect)
        if fault:
            raise UsageError(f"outlines[{place}]: {fault}")


def _fault(text: str, dialect: Dialect) -> str | None:
    if dialect.tags.outline_open is None:
        written = f"dialect {dialect.name} writes no outlines: give an empty text for each branch"
        return f"is {text[:60]!r}, but {written}" if text else None
    if not text:
        return "is empty; say in it what the branch is to do"
    if len(text) > DEFAULTS.outline:
        return f"has {len(text)} characters; an outline has at most {DEFAULTS.outline}"
    return None


def numbered(outlines: Sequence[str], dialect: Dialect) -> tuple[Outline, ...]:
    """These texts as a block's outlines, numbered as the dialect counts."""
    return tuple(Outline(str(number), text.strip()) for number, text in enumerate(outlines, dialect.first_number))
