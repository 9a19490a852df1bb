"""How a run is to go, as one frozen value."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from apr_agents.dialects import Dialect
from apr_agents.dialects.limits import DEFAULTS, ParserLimits
from apr_agents.engines.base import Sampling
from apr_agents.errors import UsageError
from apr_agents.events import Outline
from apr_agents.paths import BranchPath
from apr_agents.runner.budget import Budget
from apr_agents.runner.calls import Function
from apr_agents.runner.given import check_given, numbered
from apr_agents.runner.joins import JoinRule


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a run needs beside its engine and its question."""

    dialect: Dialect
    mode: Literal["adaptive", "sequential"] = "adaptive"
    """`sequential` decodes the same model and never lets it fork."""
    template_mode: str | None = None
    """The `mode` that the model's chat template sees; None: `sequential` in that mode where no outlines are given, else
    nothing."""
    outlines: tuple[str, ...] = ()
    """Outlines of the first block, which the caller gives in place of the model; it goes on from their join, and later
    blocks are its own. In a dialect without outlines: an empty text for each branch."""
    join: JoinRule = JoinRule()
    budget: Budget = Budget()
    sampling: Sampling = Sampling()
    """Its seed is not used: each request has its own, derived from `seed` and its place."""
    max_tokens: int | None = None
    """Generated tokens of one request at most, within the budget; None: only the budget bounds it."""
    functions: Mapping[str, Function] = field(default_factory=dict[str, Function])
    """What outlines may call, by name."""
    eager: bool = True
    """Whether a call starts as soon as its own outline is complete, while the model still writes the others. False:
    with the block's other branches, when it is known that the block is well formed."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode == "adaptive" or self.outlines:
            check_given(self.outlines, self.dialect, self.budget)
        if self.max_tokens is not None and self.max_tokens < 1:
            raise UsageError(f"max_tokens is {self.max_tokens}; it must be at least 1")

    @property
    def given(self) -> tuple[Outline, ...]:
        """The outlines of a block before any text of the model's; none: it opens its first block itself."""
        forks_first = self.dialect.fork_at == "start" and self.mode == "adaptive"
        return numbered(self.outlines or ("",) * (self.dialect.branches or 0) * forks_first, self.dialect)

    @property
    def limits(self) -> ParserLimits:
        """The parser names what the budget cannot hold; how many branches start is the ledger's to say."""
        return _limits(self.budget.depth, self.budget.branches)

    @property
    def variables(self) -> dict[str, str]:
        """What the chat template sees beside the messages."""
        mode = self.template_mode or ("sequential" if self.mode == "sequential" and not self.outlines else None)
        return {"mode": mode} if mode else {}


@cache
def _limits(depth: int, branches: int) -> ParserLimits:
    return ParserLimits(depth=min(depth, 64), outlines=max(DEFAULTS.outlines, branches))


def request_seed(seed: int, path: BranchPath, count: int) -> int:
    """The 32-bit seed of a branch's `count`-th request: the same in every run with this seed."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{path}:{count}".encode(), digest_size=4).digest())
