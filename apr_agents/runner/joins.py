"""Join rules: when the join of a block may happen, decided from the outcomes so far and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from apr_agents.errors import UsageError
from apr_agents.runner.outcome import Outcome


@dataclass(frozen=True, slots=True)
class JoinRule:
    """When a block joins, and in which order its branches stand in the joined context."""

    kind: Literal["all", "first", "quorum", "deadline"] = "all"
    until: Callable[[Outcome], bool] | None = None
    """Which outcomes count for `first` and `quorum`; None: each that ended by itself."""
    count: int | None = None
    """How many outcomes `quorum` needs."""
    seconds: float | None = None
    """How long after its fork a `deadline` block joins at the latest."""
    fail_fast: bool = False
    """Whether a failed branch ends the run; otherwise its failure is shown to the model like any result."""
    order: Literal["number", "completion"] = "number"
    """Models were trained on branches in the order of their numbers."""
    ahead: bool | None = None
    """Whether the joined prefix of the branches that have ended is evaluated while the others still decode, so that the
    synthesis waits for the last branch's own text only; None: where the engine says that it pays. Only an engine that
    takes requests for no new tokens is ever asked to."""

    def __post_init__(self) -> None:
        if (self.kind == "quorum") != (self.count is not None) or (self.count is not None and self.count < 1):
            raise UsageError("a join rule 'quorum', and no other, needs a count of at least 1")
        if (self.kind == "deadline") != (self.seconds is not None) or (self.seconds is not None and self.seconds <= 0):
            raise UsageError("a join rule 'deadline', and no other, needs seconds above 0")
        if self.until is not None and self.kind not in ("first", "quorum"):
            raise UsageError(f"a join rule '{self.kind}' waits for no particular outcome: leave 'until' out")

    @property
    def cancels(self) -> bool:
        """Whether a branch can be cancelled because of what its siblings do, or how long they take."""
        return self.kind != "all" or self.fail_fast

    def __str__(self) -> str:
        details = {"quorum": f" of {self.count}", "deadline": f" of {self.seconds:g} s" if self.seconds else ""}
        return self.kind + details.get(self.kind, "") + (", fail fast" if self.fail_fast else "")


@dataclass(frozen=True, slots=True)
class Decision:
    """That a block stops waiting for its other branches."""

    trigger: str | None
    """The path of the branch whose outcome decided it."""
    ends: Literal["branch_failed", "failed"] | None = None
    """Why the run ends here: a branch failed under fail-fast, or the caller's predicate did."""
    detail: str = ""


def meets(rule: JoinRule, outcome: Outcome) -> bool:
    """Whether this outcome counts for `first` and `quorum`. Raises what the rule's predicate raises."""
    return rule.kind in ("first", "quorum") and outcome.ok and (rule.until is None or rule.until(outcome))


def decide(rule: JoinRule, last: Outcome, met: int) -> Decision | None:
    """Whether the wait ends with this outcome, the last of `met` that count; None: wait for more."""
    path = last.branch.path
    if rule.fail_fast and last.branch.outcome == "failed":
        return Decision(path, "branch_failed", f"branch {path} failed: {last.branch.detail}")
    needed = {"first": 1, "quorum": rule.count}.get(rule.kind)
    return Decision(path) if needed is not None and met >= needed else None
