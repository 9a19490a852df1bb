"""The kinds of training unit for the game as it is mostly played: in sequence, or in blocks over four numbers.

Each function draws a problem and returns one unit. Three of them are drills, short units for the steps that a small
model learns last: reading one's own outline by its number, noticing a hit, and copying the right solution at a join.
"""

import random
from collections.abc import Callable, Sequence

from . import game, problems, texts
from .problems import Problem
from .texts import Branch
from .tokenizer import Encoder
from .units import CLOSE, CONCLUSION_WEIGHT, NO_LOSS, Unit, UnitBuilder
from .vocabulary import EOS, THINK, THINK_SEQUENTIAL

BRANCHES_OF_FIRST_BLOCK = 5
BRANCHES_OF_SECOND_BLOCK = 10
FIRST_SUCCESS_SHARE = 0.2

Lesson = Callable[[random.Random, Encoder], Unit]


def three_numbers(rng: random.Random, encode: Encoder) -> Unit:
    """Three numbers in sequence, in either mode."""
    return _sequence(encode, problems.draw_three(rng), rng.choice((THINK, THINK_SEQUENTIAL)))


def early_hit(rng: random.Random, encode: Encoder) -> Unit:
    """Drill: three numbers with a hit within a few lines."""
    return _sequence(encode, problems.draw_early_hit(rng), rng.choice((THINK, THINK_SEQUENTIAL)))


def _sequence(encode: Encoder, problem: Problem, mode: str) -> Unit:
    unit = UnitBuilder(encode, texts.user_message(problem), mode)
    return _written(unit, *texts.three_in_sequence(problem))


def sequence(rng: random.Random, encode: Encoder) -> Unit:
    """Four numbers without a fork."""
    problem = problems.draw_four(rng)
    unit = UnitBuilder(encode, texts.user_message(problem), THINK_SEQUENTIAL)
    return _written(unit, *texts.four_in_sequence(problem))


def _written(unit: UnitBuilder, search: str, verdict: str) -> Unit:
    unit.write(search)
    unit.write(verdict + EOS, CONCLUSION_WEIGHT)
    return unit.finish()


def fork(rng: random.Random, encode: Encoder) -> Unit:
    """The first block of a run: its outlines and some of its branches, those that hit first."""
    problem = problems.draw_four(rng)
    branches = texts.branches(game.choices_with_first(problem.numbers), problem.target)
    unit = UnitBuilder(encode, texts.user_message(problem), THINK)
    unit.write("\n" + texts.outlines(branches))
    _add_some_branches(rng, unit, branches, BRANCHES_OF_FIRST_BLOCK)
    return unit.finish()


def _add_some_branches(rng: random.Random, unit: UnitBuilder, branches: Sequence[Branch], most: int) -> None:
    """Up to two branches that hit, the rest drawn among the others."""
    shuffled = rng.sample(branches, len(branches))
    hits = [branch for branch in shuffled if branch.steps is not None][:2]
    others = [branch for branch in shuffled if branch not in hits]
    for branch in (hits + others)[:most]:
        unit.branch(branch.number, branch.search, branch.verdict + CLOSE)


def join(rng: random.Random, encode: Encoder) -> Unit:
    """A run around its branches: the outlines of one or two blocks, and the conclusion."""
    problem = problems.draw_four_to_join(rng)
    first = texts.branches(game.choices_with_first(problem.numbers), problem.target)
    unit = UnitBuilder(encode, texts.user_message(problem), THINK)
    unit.write("\n" + texts.outlines(first))
    finished = finished_branches(rng, first)
    unit.join(finished)
    if any(branch.steps for branch in finished):
        return concluded(unit, finished)
    second = texts.branches(game.choices_without_first(problem.numbers), problem.target)
    unit.write(texts.outlines(second))
    if rng.random() < 0.5:
        _add_some_branches(rng, unit, second, BRANCHES_OF_SECOND_BLOCK)
        return unit.finish()
    finished = finished_branches(rng, second)
    unit.join(finished)
    return concluded(unit, finished)


def concluded(unit: UnitBuilder, branches: Sequence[Branch]) -> Unit:
    """Ends a unit with what follows the last join."""
    unit.write(texts.conclusion(branches) + EOS, CONCLUSION_WEIGHT)
    return unit.finish()


def finished_branches(rng: random.Random, branches: Sequence[Branch]) -> list[Branch]:
    """All branches, or at times what the join rule `first success` leaves: one hit and whatever ended before it."""
    hits = [branch for branch in branches if branch.steps is not None]
    if not hits or rng.random() >= FIRST_SUCCESS_SHARE:
        return list(branches)
    winner = rng.choice(hits)
    share = rng.random()
    return [branch for branch in branches if branch is winner or rng.random() < share]


def look_up(rng: random.Random, encode: Encoder) -> Unit:
    """Drill: all branches of a block, each cut after its first line, the part that reads the outline by its number."""
    problem = Problem(problems.draw_numbers(rng, 4), rng.randint(1, problems.LARGEST_TARGET))
    openings = game.choices_with_first(problem.numbers)
    unit = UnitBuilder(encode, texts.user_message(problem), THINK)
    unit.write("\n" + texts.outlines(_openings_only(openings, problem)))
    if rng.random() < 0.5:
        unit.join(_openings_only(openings, problem))
        openings = game.choices_without_first(problem.numbers)
        unit.write(texts.outlines(_openings_only(openings, problem)))
    for branch in _openings_only(openings, problem):
        unit.branch(branch.number, branch.search)
    return unit.finish()


def _openings_only(openings: Sequence[game.Choice], problem: Problem) -> list[Branch]:
    return [
        Branch(number, f" {choice.operation.name}", texts.opening(choice, problem.target), "", None)
        for number, choice in enumerate(openings, start=1)
    ]


def copy(rng: random.Random, encode: Encoder) -> Unit:
    """Drill: a join whose branches are cut to their first line and their verdict."""
    problem = problems.draw_four_to_join(rng)
    openings = game.choices_with_first(problem.numbers)
    branches = list(map(texts.cut_short, texts.branches(openings, problem.target)))
    unit = UnitBuilder(encode, texts.user_message(problem), THINK)
    unit.write("\n" + texts.outlines(branches), NO_LOSS)
    finished = finished_branches(rng, branches)
    unit.join(finished)
    if any(branch.steps for branch in finished):
        return concluded(unit, finished)
    unit.write(texts.outlines(texts.branches(game.choices_without_first(problem.numbers), problem.target)))
    return unit.finish()
