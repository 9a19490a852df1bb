"""How much of the training each kind of unit gets and when, and how units become batches."""

import random
from itertools import accumulate
from typing import NamedTuple

from . import lessons, mode_lessons
from .lessons import Lesson
from .tokenizer import Encoder
from .units import Unit

TOKENS_PER_BATCH = 4_000
BATCHES_PER_ROUND = 32

Mix = dict[str, float]

LESSONS: dict[str, Lesson] = {
    "three": lessons.three_numbers,
    "early": lessons.early_hit,
    "sequence": lessons.sequence,
    "fork": lessons.fork,
    "lookup": lessons.look_up,
    "copy": lessons.copy,
    "join": lessons.join,
    "calls": mode_lessons.calls,
    "nested-fork": mode_lessons.nested_fork,
    "nested-branch": mode_lessons.nested_branch,
    "nested-join": mode_lessons.nested_join,
}


class Phase(NamedTuple):
    """A stretch of the training; the learning rate goes straight from the first factor to the last."""

    rounds: int
    first_rate: float
    last_rate: float
    decisive_weight: float
    """How much the words weigh on which a run turns."""
    mix: Mix


# Short texts first: the arithmetic and the look-up must be there before a join can be learnt from.
BASICS: Mix = {"fork": 0.46, "lookup": 0.10, "early": 0.14, "three": 0.10, "sequence": 0.10, "copy": 0.10}
WHOLE: Mix = {
    "fork": 0.40,
    "lookup": 0.04,
    "early": 0.04,
    "three": 0.04,
    "sequence": 0.12,
    "copy": 0.06,
    "join": 0.18,
    "calls": 0.05,
    "nested-fork": 0.02,
    "nested-branch": 0.03,
    "nested-join": 0.02,
}
# Towards the end, what a whole run fails on most: long contexts, and the branches of a second block.
LONGER: Mix = WHOLE | {"early": 0.02, "copy": 0.04, "join": 0.22}
FINISH: Mix = {
    "fork": 0.41,
    "lookup": 0.06,
    "early": 0.01,
    "three": 0.03,
    "sequence": 0.08,
    "copy": 0.03,
    "join": 0.24,
    "calls": 0.07,
    "nested-fork": 0.02,
    "nested-branch": 0.02,
    "nested-join": 0.03,
}
# A short second warmth for what was then weakest: hits late in a long search, and the modes.
MEND: Mix = {
    "fork": 0.40,
    "lookup": 0.02,
    "early": 0.04,
    "three": 0.16,
    "sequence": 0.06,
    "copy": 0.02,
    "join": 0.14,
    "calls": 0.09,
    "nested-fork": 0.01,
    "nested-branch": 0.02,
    "nested-join": 0.04,
}
PHASES = (
    Phase(36, 1.0, 1.0, 5.0, BASICS),
    Phase(14, 1.0, 0.907, 5.0, WHOLE),
    Phase(20, 0.907, 0.6, 5.0, WHOLE),
    Phase(20, 0.6, 0.4, 2.0, LONGER),
    Phase(50, 0.4, 0.0, 2.0, FINISH),
    Phase(16, 0.15, 0.0, 2.0, MEND),
)
WARM_UP_ROUNDS = 3
LOWEST_RATE = 0.01


class Plan(NamedTuple):
    """What one round is told: the learning rate's factor, the weight of decisive words, and the mix."""

    rate: float
    decisive_weight: float
    mix: Mix


def plan(number: int) -> Plan:
    """The plan of a round, counted from 0."""
    first = 0
    for phase in PHASES:
        if number < first + phase.rounds:
            done = (number - first + 1) / phase.rounds
            rate = phase.first_rate + (phase.last_rate - phase.first_rate) * done
            warm_up = min(1.0, (number + 1) / WARM_UP_ROUNDS)
            return Plan(warm_up * max(rate, LOWEST_RATE), phase.decisive_weight, phase.mix)
        first += phase.rounds
    raise ValueError(f"there is no round {number}")


def batches_of_round(seed: int, number: int, mix: Mix, encode: Encoder) -> list[tuple[str, list[Unit]]]:
    """The batches of one round, each of one kind and of units of like length; the arguments alone decide them."""
    rng = random.Random(f"{seed}/{number}")
    batches: list[tuple[str, list[Unit]]] = []
    for kind, count in _counts(rng, mix).items():
        units = _draw(rng, LESSONS[kind], count * TOKENS_PER_BATCH, encode)
        batches += [(kind, batch) for batch in _cut(units, count)]
    rng.shuffle(batches)
    return batches


def _counts(rng: random.Random, mix: Mix) -> dict[str, int]:
    """How many batches of each kind a round has: its share of them, rounded up or down by one shared draw."""
    offset = rng.random()
    bounds = [0, *(int(total * BATCHES_PER_ROUND + offset) for total in accumulate(mix.values()))]
    return {kind: last - first for kind, first, last in zip(mix, bounds, bounds[1:], strict=False) if last > first}


def _draw(rng: random.Random, lesson: Lesson, tokens: int, encode: Encoder) -> list[Unit]:
    units: list[Unit] = []
    while tokens > 0:
        units.append(lesson(rng, encode))
        tokens -= len(units[-1])
    return sorted(units, key=len)


def _cut(units: list[Unit], count: int) -> list[list[Unit]]:
    """Cuts units, sorted by length, into batches with about as many tokens each."""
    batches: list[list[Unit]] = [[] for _ in range(count)]
    total = sum(map(len, units))
    done = 0
    for unit in units:
        batches[done * count // total].append(unit)
        done += len(unit)
    return [batch for batch in batches if batch]
