"""Where something stands in a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""The keys and positions from the top of a document to a value."""

Finding = tuple[Path, str]
"""Where in a workflow, and what is wrong there."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a text, counted from 1."""

    line: int = 1
    column: int = 1


def at(path: Path, problems: Iterable[str]) -> Iterator[Finding]:
    """These problems, all of this place."""
    for what in problems:
        yield path, what


def below(path: Path, findings: Iterable[Finding]) -> Iterator[Finding]:
    """These findings, each of a place below this one."""
    for inner, what in findings:
        yield (*path, *inner), what


def show(path: Path) -> str:
    """Such as `$.steps[0].reason`; a key that is no plain name is quoted, and a long one cut."""
    return "$" + "".join(_shown(element) for element in path)


def _shown(element: str | int) -> str:
    if isinstance(element, int):
        return f"[{element}]"
    if _PLAIN.fullmatch(element):
        return f".{element}"
    return f"[{json.dumps(element if len(element) <= 40 else element[:40] + '...')}]"
