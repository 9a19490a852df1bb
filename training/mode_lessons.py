"""The kinds of training unit for the two modes that a tag asks for: calls, and nested blocks over five numbers."""

import random
from collections.abc import Sequence

from . import game, problems, texts
from .lessons import concluded, finished_branches
from .texts import Branch
from .tokenizer import Encoder
from .units import CLOSE, CONCLUSION_WEIGHT, NO_LOSS, Unit, UnitBuilder
from .vocabulary import EOS, THINK_CALLS, THINK_NESTED


def calls(rng: random.Random, encode: Encoder) -> Unit:
    """The plan, outlines that call a function, and the conclusion from what it returned."""
    problem = problems.draw_four(rng)
    unit = UnitBuilder(encode, texts.user_message(problem), THINK_CALLS)
    for openings in (game.choices_with_first(problem.numbers), game.choices_without_first(problem.numbers)):
        branches = texts.calls(openings, problem.target)
        unit.write(texts.plan(openings) + texts.outlines(branches))
        joined = finished_branches(rng, branches)
        unit.join(joined)
        if any(branch.steps for branch in joined):
            return concluded(unit, joined)
    unit.write(texts.conclusion([]) + EOS)
    return unit.finish()


def nested_fork(rng: random.Random, encode: Encoder) -> Unit:
    """The outlines of the outer block, and its branches up to the outlines of their own blocks."""
    problem = problems.draw_solvable(rng, 5)
    outer = texts.outer_branches(problem)
    unit = UnitBuilder(encode, texts.user_message(problem), THINK_NESTED)
    unit.write("\n" + texts.outlines(outer))
    for branch in outer:
        unit.branch(branch.number, branch.search)
    return unit.finish()


def nested_branch(rng: random.Random, encode: Encoder) -> Unit:
    """Inside one branch of the outer block: the branches of its block, or its verdict after their join."""
    problem = problems.draw_solvable(rng, 5)
    outer = texts.outer_branches(problem)
    branch, choice = rng.choice(list(zip(outer, texts.outer_openings(problem), strict=True)))
    unit = UnitBuilder(encode, texts.user_message(problem), THINK_NESTED)
    unit.write("\n" + texts.outlines(outer), NO_LOSS)
    unit.header(branch.number)
    unit.write(branch.search, NO_LOSS)
    if rng.random() < 0.4:
        for inner in branch.inner:
            unit.branch(inner.number, inner.search, inner.verdict + CLOSE)
        return unit.finish()
    joined = finished_branches(rng, _perhaps_cut_short(rng, branch.inner))
    unit.join(joined)
    unit.write(texts.outer_verdict(branch.number, choice.operation, joined) + CLOSE, CONCLUSION_WEIGHT)
    return unit.finish()


def nested_join(rng: random.Random, encode: Encoder) -> Unit:
    """The conclusion of a nested run."""
    problem = problems.draw_solvable(rng, 5)
    outer = texts.outer_branches(problem)
    unit = UnitBuilder(encode, texts.user_message(problem), THINK_NESTED)
    unit.write("\n" + texts.outlines(outer), NO_LOSS)
    joined = [branch._replace(inner=_perhaps_cut_short(rng, branch.inner)) for branch in finished_branches(rng, outer)]
    unit.join(joined)
    return concluded(unit, joined)


def _perhaps_cut_short(rng: random.Random, branches: Sequence[Branch]) -> tuple[Branch, ...]:
    """These branches, mostly cut short: a nested run is long, and what it ends in takes many examples to learn."""
    return tuple(branches) if rng.random() < 0.3 else tuple(map(texts.cut_short, branches))
