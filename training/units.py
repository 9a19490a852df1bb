"""Training units: token ids, what each weighs in the loss, and where branches begin.

A unit is a context as the driver builds it and a completion as the model writes it. The contexts come from the
library's own dialect and glue, so that what is trained is what is run. The branches at the end of a unit are packed
after one another; each starts at the position where the trunk ends and sees only the trunk and itself, exactly as
branches do on a prefix that they share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from apr_agents.context import Context, Origin, Segment
from apr_agents.dialects import load_dialect
from apr_agents.glue import Joined, fork_context, join_context

from . import vocabulary
from .texts import Branch
from .tokenizer import Encoder

DIALECT = load_dialect("threadweaver")
CLOSE = DIALECT.tags.branch_close
NO_LOSS = 0.0
CONCLUSION_WEIGHT = 3.0


@dataclass
class Unit:
    """Three columns of equal length, and where each branch begins; what lies before the first is the trunk."""

    ids: list[int] = field(default_factory=list[int])
    weights: list[float] = field(default_factory=list[float])
    positions: list[int] = field(default_factory=list[int])
    forks: list[int] = field(default_factory=list[int])

    def __len__(self) -> int:
        return len(self.ids)

    def parts(self) -> list[range]:
        """The stretches of the trunk and of each branch."""
        return [range(first, last) for first, last in pairwise([0, *self.forks, len(self)])]

    def append(self, segments: Iterable[Segment], weight: float, position: int) -> None:
        """Adds segments from a position on; only what the model wrote has a weight."""
        for segment in segments:
            ids = segment.ids or ()
            self.ids += ids
            self.weights += [weight if segment.origin is Origin.generated else NO_LOSS] * len(ids)
            self.positions += range(position, position + len(ids))
            position += len(ids)


class UnitBuilder:
    """Writes one unit: first the trunk, then any number of branches on its end."""

    def __init__(self, encode: Encoder, message: str, mode: str) -> None:
        self._encode = encode
        self._unit = Unit()
        prompt = f"{vocabulary.BOS}{message}\n{mode}"
        self._trunk = Context.of(Segment(prompt, encode(prompt, control=True), Origin.client))
        self._unit.append(self._trunk.segments, NO_LOSS, 0)

    def write(self, text: str, weight: float = 1.0) -> None:
        """What the model writes next on the trunk."""
        self._grow(self._written(self._trunk, text), weight)

    def header(self, number: int) -> None:
        """Goes into a branch, which becomes the trunk of the branches inside it."""
        self._grow(fork_context(self._trunk, DIALECT, str(number), self._encode).start, NO_LOSS)

    def join(self, branches: Sequence[Branch]) -> None:
        """Joins a block whose outlines end the trunk."""
        self._grow(join_context(self._trunk, self._finished(self._trunk, branches), DIALECT, self._encode), NO_LOSS)

    def branch(self, number: int, search: str, verdict: str = "") -> None:
        """One branch on the trunk: the driver's header, then what the model writes; its last words weigh more."""
        start = fork_context(self._trunk, DIALECT, str(number), self._encode).start
        searched = self._written(start, search)
        self._unit.forks.append(len(self._unit))
        self._unit.append(searched.since(self._trunk), 1.0, self._trunk.tokens)
        self._unit.append(self._written(searched, verdict).since(searched), CONCLUSION_WEIGHT, searched.tokens)

    def finish(self) -> Unit:
        """The unit."""
        return self._unit

    def _grow(self, context: Context, weight: float) -> None:
        self._unit.append(context.since(self._trunk), weight, self._trunk.tokens)
        self._trunk = context

    def _written(self, context: Context, text: str) -> Context:
        return context.extend(Segment(text, self._encode(text, control=True), Origin.generated))

    def _finished(self, parent: Context, branches: Sequence[Branch]) -> list[Joined]:
        """The branches as they are when they may join, each with its own block joined, if it has one."""
        joined: list[Joined] = []
        for branch in branches:
            fork = fork_context(parent, DIALECT, str(branch.number), self._encode)
            end = self._written(fork.start, branch.search)
            if branch.inner:
                end = join_context(end, self._finished(end, branch.inner), DIALECT, self._encode)
            joined.append(Joined(fork, self._written(end, branch.verdict + CLOSE)))
        return joined
