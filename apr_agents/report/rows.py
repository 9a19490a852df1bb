"""The tree of a report as rows, outer branches first; where siblings are very many, one row stands for most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apr_agents.accounting import BranchFigures, ForkFigures, Report

SHOWN = 12
"""Branches of a block, and blocks of a branch, that have a row of their own."""
DEEPEST = 8
"""Blocks inside one another that have rows of their own."""


@dataclass(frozen=True, slots=True)
class Others:
    """Siblings that have no row of their own."""

    branches: tuple[BranchFigures, ...] = ()
    forks: tuple[ForkFigures, ...] = ()

    @property
    def name(self) -> str:
        return "branch" if self.branches else "block"

    @property
    def inside(self) -> tuple[BranchFigures, ...]:
        """The branches for which this stands."""
        return self.branches or tuple(branch for fork in self.forks for branch in fork.branches)


Item = BranchFigures | ForkFigures | Others


@dataclass(frozen=True, slots=True)
class Row:
    """One item and where it hangs in the tree."""

    item: Item
    last: bool
    """Whether it is the last child of its parent."""
    trunks: tuple[bool, ...]
    """For each level above, outermost first, whether more children follow there."""


def rows(report: Report) -> list[Row]:
    """Everything below the run itself."""
    forks: dict[str, list[ForkFigures]] = {}
    for fork in report.forks:
        forks.setdefault(fork.path, []).append(fork)
    found: list[Row] = []
    pending = _children(_few_forks(forks.get("", [])), ())
    while pending:
        row = pending.pop()
        found.append(row)
        trunks = (*row.trunks, not row.last)
        if isinstance(row.item, ForkFigures):
            pending += _children(_few_branches(row.item.branches), trunks)
        elif isinstance(row.item, BranchFigures):
            inner = forks.get(row.item.path, [])
            few = _few_forks(inner) if len(trunks) < 2 * DEEPEST or not inner else [Others(forks=tuple(inner))]
            pending += _children(few, trunks)
    return found


def _children(items: Sequence[Item], trunks: tuple[bool, ...]) -> list[Row]:
    """Last one first, so that a stack gives them in order."""
    return [Row(item, place == len(items) - 1, trunks) for place, item in enumerate(items)][::-1]


def _few_branches(branches: Sequence[BranchFigures]) -> list[Item]:
    """The first ones and those on a critical path; one row for all others."""
    if len(branches) <= SHOWN:
        return list(branches)
    critical = [branch for branch in branches if branch.critical or branch.critical_tokens]
    first = [branch for branch in branches if branch not in critical][: max(0, SHOWN - 1 - len(critical))]
    shown = {branch.path for branch in (*critical, *first)}
    rest = tuple(branch for branch in branches if branch.path not in shown)
    return [*(branch for branch in branches if branch.path in shown), Others(branches=rest)]


def _few_forks(forks: Sequence[ForkFigures]) -> list[Item]:
    if len(forks) <= SHOWN:
        return list(forks)
    return [*forks[: SHOWN - 1], Others(forks=tuple(forks[SHOWN - 1 :]))]
