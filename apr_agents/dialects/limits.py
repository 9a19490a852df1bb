"""What the parser reads at most before it says that a text is malformed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from apr_agents.errors import UsageError

_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """Each ends in a verdict of its own. Raises UsageError when one is below 1, or `depth` above 64."""

    outline: int = 4_000
    """Characters of one outline, its number included: `outline-too-long`."""
    outlines: int = 64
    """Outlines or branches of one block; a dialect's own cap may be lower: `too-many-outlines`, `too-many-branches`."""
    depth: int = 5
    """Blocks inside one another, the outermost included; a dialect that does not nest has 1: `nested-too-deep`."""
    block: int = 1_000_000
    """Characters of an outermost block with all that is in it, and of its conclusion: `block-too-large`."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise UsageError(f"the parser's limit {field.name} is {getattr(self, field.name)}; give 1 or more")
        if self.depth > _DEEPEST:
            raise UsageError(f"the parser's limit depth is {self.depth}; give {_DEEPEST} or less")


DEFAULTS: Final = ParserLimits()
