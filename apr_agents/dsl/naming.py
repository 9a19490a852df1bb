"""How names are written in messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def listed(names: Iterable[str]) -> str:
    """Such as `a, b, c`."""
    return ", ".join(names)


def suggestion(name: str, names: Iterable[str]) -> str:
    """Such as `, did you mean budget?`; empty when no name is near."""
    near = difflib.get_close_matches(name[:100], list(names), n=1)
    return f", did you mean {near[0]}?" if near else ""
