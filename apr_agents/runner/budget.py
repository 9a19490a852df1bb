"""The bounds of a run, and the one ledger that holds them across all nesting."""

from __future__ import annotations

from dataclasses import dataclass, fields

from apr_agents.errors import BudgetError, UsageError

FREE_RETRIES = 4
"""Requests that any run may send again, so that its first ones, of which 20 % would be none, can be."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may use. All bounds are finite."""

    branches: int = 16
    """Branches of one block."""
    run_branches: int = 64
    """Branches of the whole run, nested ones included."""
    depth: int = 2
    """Levels of blocks: 1 lets only the run itself fork."""
    concurrency: int = 20
    """Engine requests and calls at the same time."""
    tokens: int = 65_536
    """Generated tokens of the whole run."""
    seconds: float = 600.0
    """Wall time of the whole run."""
    retries: float = 0.2
    """Requests that may be sent again, as a share of the run's requests so far; four always may. 0: none is."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "retries":
                if not 0 <= value <= 1:
                    raise UsageError(f"budget.retries is {value}; it is a share, from 0 to 1")
            elif not 0 < value < 1e12:
                raise UsageError(f"budget.{field.name} is {value}; it must be above 0 and finite")


class Ledger:
    """What is left of a budget: reserved before a request, settled after it.

    Its mutable state is the tokens spent, the tokens reserved by requests in flight, the branches admitted, and the
    requests and retries so far.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._spent = 0
        self._reserved = 0
        self._branches = 0
        self._requests = 0
        self._retries = 0

    @property
    def left(self) -> int:
        """Tokens that are neither spent nor reserved."""
        return self.budget.tokens - self._spent - self._reserved

    def reserve(self, tokens: int) -> int:
        """Reserve up to `tokens`; how many were granted. Raises BudgetError when none are left."""
        granted = min(tokens, self.left)
        if granted < 1:
            raise BudgetError("tokens", f"the run's budget of {self.budget.tokens} tokens is used up")
        self._reserved += granted
        self._requests += 1
        return granted

    def settle(self, granted: int, used: int) -> None:
        """Give a reservation back and book what was used of it."""
        self._reserved -= granted
        self._spent += used

    def restore(self, tokens: int, branches: int, requests: int = 0, retries: int = 0) -> None:
        """Book what a branch used that ran before the run was resumed, the branches inside it too."""
        self._spent += tokens
        self._branches += branches
        self._requests += requests
        self._retries += retries

    def retry(self) -> bool:
        """Book that a request is sent again; False when the run has none left for that."""
        share = self.budget.retries
        admitted = share > 0 and self._retries < max(FREE_RETRIES, int(share * self._requests))
        self._retries += admitted
        return admitted

    def admit(self, wanted: int, begun: int = 0) -> int:
        """How many of `wanted` more branches of one block may start, `begun` of it have; they count from now on."""
        admitted = max(0, min(wanted, self.budget.branches - begun, self.budget.run_branches - self._branches))
        self._branches += admitted
        return admitted

    def admit_early(self, place: int, begun: int) -> bool:
        """Whether the branch at this place of a block, from 1, may start before it is known how many there are: those
        before it, `begun` of which have started, and itself are within the bounds. It counts from now on."""
        fits = place <= self.budget.branches and place - begun <= self.budget.run_branches - self._branches
        self._branches += fits
        return fits

    @property
    def may_fork(self) -> bool:
        """Whether the run has a branch left."""
        return self._branches < self.budget.run_branches
