"""The cache's bookkeeping against a memory that knows the truth: what is said to be held is held."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.llamacpp.cache import Cache, Slot, User, Wanted, common_prefix
from apr_agents.paths import BranchPath

RUNS = ("", "one", "other")
USERS = st.builds(User, st.sampled_from(RUNS), st.sampled_from(["", "1.1", "1.2", "1.2/1.1"]).map(BranchPath.parse))
TOKENS = st.lists(st.integers(0, 1), min_size=1, max_size=4).map(tuple)


def context(*parts: tuple[int, ...]) -> Context:
    return Context.of(*(Segment("", part, Origin.client) for part in parts))


class ListMemory:
    """Sequences as lists of tokens; rewinds or refuses to, as llama.cpp's two kinds of memory do."""

    def __init__(self, sequences: int, *, rewinds: bool) -> None:
        self.held: list[tuple[int, ...]] = [()] * sequences
        self._rewinds = rewinds

    def fork(self, source: int, target: int, tokens: int) -> None:
        assert not self.held[target]
        self.held[target] = self.held[source][:tokens] if self._rewinds else self.held[source]

    def cut(self, sequence: int, tokens: int) -> bool:
        if not self._rewinds and tokens < len(self.held[sequence]):
            return False
        self.held[sequence] = self.held[sequence][:tokens]
        return True

    def drop(self, sequence: int) -> None:
        self.held[sequence] = ()


class CacheMachine(RuleBasedStateMachine):
    contexts: Bundle[Context] = Bundle("contexts")

    @initialize(target=contexts, sequences=st.integers(1, 4), rewinds=st.booleans(), tokens=TOKENS)
    def begin(self, sequences: int, rewinds: bool, tokens: tuple[int, ...]) -> Context:
        self.rewinds = rewinds
        self.memory = ListMemory(sequences, rewinds=rewinds)
        self.cache = Cache(self.memory, sequences, rewinds=rewinds)
        self.running: list[tuple[Slot, Wanted]] = []
        return context(tokens)

    @rule(target=contexts, parent=contexts, tokens=TOKENS)
    def extend(self, parent: Context, tokens: tuple[int, ...]) -> Context:
        return parent.extend(Segment("", tokens, Origin.generated))

    @rule(target=contexts, tokens=TOKENS)
    def begin_another(self, tokens: tuple[int, ...]) -> Context:
        return context(tokens)

    @rule(wanted=contexts, generated=st.lists(st.integers(0, 1), max_size=2), user=USERS)
    def take(self, wanted: Context, generated: list[int], user: User) -> None:
        request = Wanted(wanted, generated)
        free = sum(1 for slot in self.cache.slots if not slot.busy)
        _, best = self.cache.best(request)
        taken = self.cache.take(request, user)
        assert (taken is None) == (not free)
        if taken is not None:
            slot, tokens = taken
            assert tokens == best == slot.length < request.length
            self.running.append((slot, request))

    @rule(count=st.integers(1, 3), which=st.integers(0, 9))
    def evaluate(self, count: int, which: int) -> None:
        if self.running:
            slot, request = self.running[which % len(self.running)]
            tokens = request.rest(None)[slot.length : slot.length + count]
            self.memory.held[slot.sequence] += tokens
            self.cache.grow(slot, tokens, request.context)

    @rule(which=st.integers(0, 9))
    def finish(self, which: int) -> None:
        if self.running:
            slot, _ = self.running.pop(which % len(self.running))
            self.cache.park(slot)

    @rule()
    def evict(self) -> None:
        parked = [slot for slot in self.cache.slots if slot.length and not slot.busy]
        oldest = min(parked, key=lambda slot: slot.used, default=None)
        assert self.cache.evict() == (oldest is not None)
        assert oldest is None or not oldest.length

    @rule(user=USERS, runs=st.sets(st.sampled_from(RUNS)), spare=st.integers(0, 9))
    def tidy(self, user: User, runs: set[str], spare: int) -> None:
        before = [(slot, slot.length) for slot in self.cache.slots if slot.length]
        self.cache.tidy(user, runs, spare)
        for slot, length in before:
            joined = user.joins(slot.user)
            if slot.busy or (slot.user.run in runs and not joined):
                assert slot.length == length
            elif joined:
                assert not slot.length
        idle = [slot for slot, _ in before if slot.length and not slot.busy and slot.user.run not in runs]
        assert len(idle) <= 1 or sum(slot.length for slot in idle) <= spare

    @invariant()
    def what_is_said_to_be_held_is_held(self) -> None:
        for slot in self.cache.slots:
            said = (*(slot.base.ids if slot.base else ()), *slot.extra)
            assert said == self.memory.held[slot.sequence]
            assert len(said) == slot.length


TestCacheMachine = CacheMachine.TestCase


@given(TOKENS, TOKENS)
def test_common_prefix(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    count = common_prefix(left, right)
    assert left[:count] == right[:count]
    assert count == min(len(left), len(right)) or left[count] != right[count]


def held_cache(*contexts: Context, sequences: int = 8) -> tuple[Cache, list[Slot]]:
    """A cache in which each of these contexts is parked, evaluated to its end."""
    cache = Cache(ListMemory(sequences, rewinds=True), sequences, rewinds=True)
    slots: list[Slot] = []
    for parked in contexts:
        wanted = Wanted(parked)
        taken = cache.take(wanted)
        assert taken is not None
        slots.append(taken[0])
        cache.grow(taken[0], wanted.rest(None)[taken[1] :], parked)
    for slot in slots:
        cache.park(slot)
    return cache, slots


def test_a_branch_of_a_long_context_is_matched_by_its_links() -> None:
    parent = context(tuple(range(100_000)))
    cache, (slot,) = held_cache(parent)
    branch = Wanted(parent.extend(Segment("", (1, 2), Origin.header)))
    assert cache.best(branch) == (slot, 100_000)
    assert branch.rest(slot.base) == (1, 2)
    touched = [len(rest) for rest in branch._rests.values()]  # pyright: ignore[reportPrivateUsage]
    assert sum(touched) == 2


def test_equal_tokens_serve_a_context_that_shares_no_link() -> None:
    cache, (slot,) = held_cache(context((1, 2, 3), (4,)))
    assert cache.best(Wanted(context((1, 2), (3, 4, 5)))) == (slot, 4)


def test_the_last_token_is_evaluated_again_for_its_logits() -> None:
    parked = context((1, 2, 3))
    cache, (slot,) = held_cache(parked)
    assert cache.best(Wanted(parked)) == (slot, 2)


def test_the_first_branch_goes_on_in_place_and_the_others_fork() -> None:
    parent = context((1, 2, 3))
    cache, (slot,) = held_cache(parent)
    branches = [Wanted(parent.extend(Segment("", (number,), Origin.header))) for number in (7, 8, 9)]
    taken = [cache.take(branch) for branch in branches]
    sequences = [found[0].sequence for found in taken if found]
    assert [found[1] for found in taken if found] == [3, 3, 3]
    assert sequences[0] == slot.sequence
    assert len(set(sequences)) == 3


def test_the_sequence_that_was_of_no_use_for_longest_makes_room() -> None:
    contexts = [context((number, number)) for number in range(3)]
    cache, slots = held_cache(*contexts, sequences=3)
    cache.take(Wanted(contexts[0].extend(Segment("", (5,), Origin.header))))
    assert cache.take(Wanted(context((9, 9)))) == (slots[1], 0)
    assert [slot.length for slot in slots] == [2, 0, 2]


def test_branches_are_forgotten_when_what_they_joined_goes_on() -> None:
    contexts = {path: context((place, place)) for place, path in enumerate(["", "1.1", "1.1/2.3", "2.1"])}
    cache, slots = held_cache(*contexts.values())
    for path, slot in zip(contexts, slots, strict=True):
        slot.user = User("run", BranchPath.parse(path))
    for other in (User("another", BranchPath()), User("", BranchPath()), User("run", BranchPath.parse("2.1"))):
        cache.tidy(other, {"run"}, 0)
        assert all(slot.length for slot in slots)
    cache.tidy(User("run", BranchPath.parse("1.1")), {"run"}, 0)
    assert [slot.length for slot in slots] == [2, 2, 0, 2]
    cache.tidy(User("run", BranchPath()), {"run"}, 0)
    assert [slot.length for slot in slots] == [2, 0, 0, 0]


def test_runs_of_the_past_keep_what_is_spare_and_always_the_newest() -> None:
    cache, slots = held_cache(*(context((place,) * 4) for place in range(4)))
    for place, slot in enumerate(slots):
        slot.user = User(f"run {place}", BranchPath())
    cache.tidy(User("now", BranchPath()), {"now", "run 0"}, 9)
    assert [slot.length for slot in slots] == [4, 0, 4, 4]
    cache.tidy(User("now", BranchPath()), {"now"}, 0)
    assert [slot.length for slot in slots] == [0, 0, 0, 4]
