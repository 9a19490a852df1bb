"""The verdict of a check, and the type of a check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MAX_ANSWER = 10_000
"""Characters of an answer that a check looks at."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found."""

    ok: bool
    detail: str
    """In one line: what was verified, or the first thing that is wrong."""


Check = Callable[..., Checked]
"""A function of the answer, and of keyword arguments of these types: bool, int, float, str, tuple[int, ...] and
re.Pattern[str]."""
