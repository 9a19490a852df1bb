"""Where a branch is, as a value: the one key of logs, spans, engine affinity and durable task names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_STEP = re.compile(r"([1-9][0-9]*)\.([1-9][0-9]*)")


@dataclass(frozen=True, order=True)  # without slots, for the text is kept
class BranchPath:
    """The way from the run to a branch: one (block, branch) pair of 1-based positions per level; empty is the run."""

    steps: tuple[tuple[int, int], ...] = ()

    def child(self, block: int, branch: int) -> BranchPath:
        return BranchPath((*self.steps, (block, branch)))

    @property
    def depth(self) -> int:
        return len(self.steps)

    @property
    def parent(self) -> BranchPath:
        """The path one level up; the run is its own parent."""
        return BranchPath(self.steps[:-1])

    def inside(self, other: BranchPath) -> bool:
        """Whether this is a branch of a block of the other's, at whatever depth."""
        depth = len(other.steps)
        return len(self.steps) > depth and self.steps[:depth] == other.steps

    def __str__(self) -> str:
        """`2.3/1.4`: branch 4 of the first block inside branch 3 of the run's second block; the run is ``""``."""
        return self._text

    @cached_property
    def _text(self) -> str:
        return "/".join([f"{block}.{branch}" for block, branch in self.steps])

    @classmethod
    def parse(cls, text: str) -> BranchPath:
        """The inverse of `str`. Raises ValueError for anything else."""
        if not text:
            return cls()
        steps: list[tuple[int, int]] = []
        for part in text.split("/"):
            found = _STEP.fullmatch(part)
            if found is None:
                raise ValueError(f"{text!r} is not a branch path such as '2.3/1.4'")
            steps.append((int(found[1]), int(found[2])))
        return cls(tuple(steps))
