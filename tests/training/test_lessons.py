"""Training units: they read as whole, well-formed runs, and hold the ids that the library's own code makes."""

from __future__ import annotations

import random
import re

import pytest

pytest.importorskip("tokenizers")

from training import texts, vocabulary
from training.curriculum import BATCHES_PER_ROUND, LESSONS, PHASES, batches_of_round, plan
from training.grade import grade
from training.problems import Problem
from training.tokenizer import Encoder
from training.units import UnitBuilder

PROMPT = re.compile(r"<bos>Numbers: ([\d ]+) Target: (\d+)\n(<think[a-z-]*>)")
EXAMPLE = Problem((26, 45, 27, 21), 18)


@pytest.fixture(scope="module")
def encode() -> Encoder:
    return Encoder()


@pytest.mark.parametrize("kind", ["three", "early", "sequence", "join", "copy", "calls", "nested-join"])
def test_whole_runs_are_well_formed_and_end_in_a_solution(kind: str, encode: Encoder) -> None:
    rng = random.Random(kind)
    solved = 0
    for _ in range(25):
        unit = LESSONS[kind](rng, encode)
        text = encode.decode(unit.ids)
        if not text.endswith(vocabulary.EOS):
            continue
        found = PROMPT.match(text)
        assert found
        problem = Problem(tuple(map(int, found[1].split())), int(found[2]))
        nested = found[3] == vocabulary.THINK_NESTED
        graded = grade(text[found.end() :].removesuffix(vocabulary.EOS), problem, nested=nested)
        assert graded.well_formed, text
        assert graded.solved == ("answer:" in text)
        solved += graded.solved
    assert solved >= 3


@pytest.mark.parametrize("kind", LESSONS)
def test_only_what_the_model_writes_has_a_weight(kind: str, encode: Encoder) -> None:
    unit = LESSONS[kind](random.Random(1), encode)
    assert len(unit.ids) == len(unit.weights) == len(unit.positions)
    assert any(unit.weights)
    for part in unit.parts():
        assert unit.weights[part.start] == 0, "nothing stands before the first token of a trunk or of a branch"
    closing = vocabulary.word_id("</Parallel>")
    assert all(weight == 0 for token, weight in zip(unit.ids, unit.weights, strict=True) if token == closing)


def test_branches_start_where_the_trunk_ends(encode: Encoder) -> None:
    unit = LESSONS["fork"](random.Random(1), encode)
    trunk, *branches = unit.parts()
    assert len(branches) > 1
    for branch in branches:
        assert unit.positions[branch.start : branch.stop] == list(range(len(trunk), len(trunk) + len(branch)))


def test_the_texts_of_a_run(encode: Encoder) -> None:
    unit = UnitBuilder(encode, texts.user_message(EXAMPLE), vocabulary.THINK)
    branches = texts.branches(texts.game.choices_with_first(EXAMPLE.numbers), EXAMPLE.target)
    unit.write("\n" + texts.outlines(branches))
    unit.join([branches[5]])
    unit.write(texts.conclusion(branches))
    lines = encode.decode(unit.finish().ids).split("\n")
    assert lines[0] == "<bos>Numbers: 26 45 27 21 Target: 18"
    assert lines[1:5] == ["<think>", "<Parallel>", "<Outlines>", "<Outline>1: 26 + 45</Outline>"]
    assert lines[-3].startswith("<Thread>6: 26 - 21 = 5, 5 45 27 Target: 18; 5 + 45 = 50 27 -> 77 23;")
    assert lines[-3].endswith("45 / 5 = 9 27 -> 36 18 hit in 6, 26 - 21 = 5 then 45 / 5 = 9 then 27 - 9 = 18</Thread>")
    assert lines[-2:] == ["</Parallel>", "hit in 6, answer: 26 - 21 = 5 then 45 / 5 = 9 then 27 - 9 = 18"]


def test_the_same_seed_gives_the_same_batches(encode: Encoder) -> None:
    mix = PHASES[-1].mix
    first, again = (batches_of_round(1, 0, {"three": mix["three"]}, encode) for _ in range(2))
    assert [(kind, [unit.ids for unit in units]) for kind, units in first] == [
        (kind, [unit.ids for unit in units]) for kind, units in again
    ]
    assert len(first) <= BATCHES_PER_ROUND


def test_the_plan_covers_every_round_and_ends_slowly() -> None:
    rounds = sum(phase.rounds for phase in PHASES)
    rates = [plan(number).rate for number in range(rounds)]
    assert max(rates) == 1.0
    assert rates[-1] < 0.02
    assert all(abs(sum(phase.mix.values()) - 1) < 1e-9 for phase in PHASES)
    with pytest.raises(ValueError, match="no round"):
        plan(rounds)
