"""Which sequence holds which tokens, and which of them serves a request best.

A sequence is known by the newest context link that it holds whole and by the tokens behind it. Contexts that share
links share tokens, so a branch of a long context is matched by walking links; only what is left is compared by token.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from apr_agents.context import Context, ids_of
from apr_agents.paths import BranchPath


class Memory(Protocol):
    """The part of a decoder that keeps sequences."""

    def fork(self, source: int, target: int, tokens: int) -> None: ...
    def cut(self, sequence: int, tokens: int) -> bool: ...
    def drop(self, sequence: int) -> None: ...


@dataclass(frozen=True, slots=True)
class User:
    """Whose request it is."""

    run: str
    """`""`: of no run, so that nothing else is known to be of the same."""
    path: BranchPath

    def joins(self, other: User) -> bool:
        """Whether the other was a branch that has joined, since this one goes on behind it."""
        return bool(self.run) and self.run == other.run and other.path.inside(self.path)


NOBODY: Final = User("", BranchPath())


@dataclass(slots=True)
class Slot:
    """One sequence of the decoder."""

    sequence: int
    base: Context | None = None
    """The newest link whose tokens it holds to the end; None: none."""
    extra: list[int] = field(default_factory=list[int])
    """Tokens that it holds behind `base`."""
    busy: bool = False
    """Whether a request is using it; it is parked otherwise, or empty."""
    used: int = 0
    """When it was last of use, in the cache's own count."""
    user: User = NOBODY
    """Whose request used it last."""

    @property
    def length(self) -> int:
        """Tokens that it holds."""
        return (self.base.tokens if self.base else 0) + len(self.extra)


class Wanted:
    """What a request needs evaluated: a context and tokens generated behind it."""

    def __init__(self, context: Context, generated: Sequence[int] = ()) -> None:
        self.context = context
        self.length = context.tokens + len(generated)
        self._generated = tuple(generated)
        self._links = {id(link): link for link in context.links()}
        self._rests: dict[int, tuple[int, ...]] = {}

    def rest(self, link: Context | None) -> tuple[int, ...]:
        """The tokens behind one of its own links; all of them for None."""
        key = id(link)
        if key not in self._rests:
            self._rests[key] = (*ids_of(self.context.since(link)), *self._generated)
        return self._rests[key]

    def shared_link(self, base: Context | None) -> Context | None:
        """The newest link that it has in common with this context."""
        links = base.links() if base else iter(())
        return next((link for link in links if id(link) in self._links), None)

    def common(self, link: Context | None, base: Context | None, extra: Sequence[int] = ()) -> int:
        """How many first tokens it has in common with base and extra, both of which go through `link`."""
        theirs = (*(ids_of(base.since(link)) if base else ()), *extra)
        return (link.tokens if link else 0) + common_prefix(self.rest(link), theirs)

    def split(self, tokens: int) -> tuple[Context | None, list[int]]:
        """Its first tokens as the newest whole link among them and the tokens behind that link."""
        link = next((link for link in self.context.links() if link.tokens <= tokens), None)
        return link, list(self.rest(link)[: tokens - (link.tokens if link else 0)])


def common_prefix(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    """How many first elements two tuples have in common."""
    low, high = 0, min(len(left), len(right))
    if left[:high] == right[:high]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class Cache:
    """All sequences of a decoder."""

    def __init__(self, memory: Memory, sequences: int, *, rewinds: bool) -> None:
        """`rewinds`: whether a sequence can be forked and cut at any token, or only at its end."""
        self._memory, self._rewinds = memory, rewinds
        self.slots = tuple(Slot(sequence) for sequence in range(sequences))
        self._now = 0

    def best(self, wanted: Wanted) -> tuple[Slot | None, int]:
        """The sequence that holds most of what is wanted, and how many of its first tokens serve."""
        held = [slot for slot in self.slots if slot.length]
        linked = [(slot, link) for slot in held if (link := wanted.shared_link(slot.base)) is not None]
        pairs = linked or [(slot, None) for slot in held]
        found = [(self._serves(slot, wanted.common(link, slot.base, slot.extra), wanted), slot) for slot, link in pairs]
        tokens, slot = max(found, key=lambda pair: (pair[0], not pair[1].busy), default=(0, None))
        return (slot, tokens) if tokens else (None, 0)

    def _serves(self, slot: Slot, common: int, wanted: Wanted) -> int:
        usable = min(common, wanted.length - 1)  # the last token is always evaluated: sampling needs its logits
        return usable if self._rewinds or usable == slot.length else 0

    def take(self, wanted: Wanted, user: User = NOBODY) -> tuple[Slot, int] | None:
        """A sequence for a request, and how many tokens of what is wanted it holds already; None: all are busy."""
        source, tokens = self.best(wanted)
        target = self._target(source, tokens)
        if target is None:
            return None
        if source is not None and target is not source:
            self._memory.fork(source.sequence, target.sequence, tokens)
            self._touch(source)
        if not self._memory.cut(target.sequence, tokens):
            self._memory.drop(target.sequence)
            tokens = 0
        target.base, target.extra = wanted.split(tokens)
        target.busy, target.user = True, user
        return target, tokens

    def _target(self, source: Slot | None, tokens: int) -> Slot | None:
        if source is not None and not source.busy and tokens == source.length:
            return source  # going on in place loses nothing
        empty = next((slot for slot in self.slots if not slot.busy and not slot.length), None)
        if empty is not None:
            return empty
        spared = self._oldest(source)
        if spared is not None:
            self.drop(spared)
            return spared
        return source if source is not None and not source.busy else None

    def grow(self, slot: Slot, tokens: Sequence[int], context: Context) -> None:
        """Tokens of a request with this context were evaluated in a sequence."""
        slot.extra.extend(tokens)
        if slot.base is not context and slot.length >= context.tokens:
            slot.extra = slot.extra[context.tokens - (slot.base.tokens if slot.base else 0) :]
            slot.base = context

    def park(self, slot: Slot) -> None:
        """A request is done with a sequence, which stays for whoever can use what it holds."""
        slot.busy = False
        self._touch(slot)

    def drop(self, slot: Slot) -> None:
        """Forget what a sequence holds."""
        self._memory.drop(slot.sequence)
        slot.base, slot.extra, slot.busy = None, [], False

    def evict(self) -> bool:
        """Drop the parked sequence that was of no use for longest; False when none is parked."""
        oldest = self._oldest(None)
        if oldest is not None:
            self.drop(oldest)
        return oldest is not None

    def tidy(self, user: User, runs: Collection[str], spare: int) -> None:
        """Drop what a request of this user makes useless: branches that have joined it; and of what other runs than
        these left the oldest, until that is the newest alone or at most `spare` tokens."""
        for slot in self._parked():
            if user.joins(slot.user):
                self.drop(slot)
        idle = [slot for slot in self._parked() if slot.user.run not in runs]
        held = sum(slot.length for slot in idle)
        for slot in idle[:-1]:
            if held <= spare:
                break
            held -= slot.length
            self.drop(slot)

    def _oldest(self, spared: Slot | None) -> Slot | None:
        return next((slot for slot in self._parked() if slot is not spared), None)

    def _parked(self) -> list[Slot]:
        """Sequences that no request is using, first those that were of no use for longest."""
        return sorted((slot for slot in self.slots if slot.length and not slot.busy), key=lambda slot: slot.used)

    def _touch(self, slot: Slot) -> None:
        self._now += 1
        slot.used = self._now
