"""The benchmark of what is evaluated ahead: both sides of a turn say the same, and only one of them does it."""

from __future__ import annotations

import pytest

from benchmarks.ahead import Ran, figures, turns
from benchmarks.script import Prompter
from benchmarks.server import Served
from benchmarks.speakers import speaker

LENGTHS = (100, 300, 900)
"""The last has most to say: when it ends, the others have long been evaluated."""


@pytest.mark.parametrize("spec", ["scripted", "embedded"])
async def test_what_stands_before_the_slowest_branch_is_evaluated_while_it_decodes(spec: str) -> None:
    prompter = Prompter()
    async with speaker(Served(spec), prompter) as engine:
        ((on, off),) = await turns(engine, prompter, LENGTHS, 1)
    assert on.ahead > 0
    assert off.ahead == 0
    assert min(on.wait, off.wait) > 0


async def test_nothing_can_be_evaluated_while_the_first_branch_decodes() -> None:
    prompter = Prompter()
    async with speaker(Served("scripted"), prompter) as engine:
        ((on, off),) = await turns(engine, prompter, LENGTHS[::-1], 1)
    assert (on.ahead, off.ahead) == (0, 0)
    assert on.wall == pytest.approx(off.wall)


def test_figures_are_ratios_within_a_turn() -> None:
    taken = [(Ran(1.0, 0.1, 50), Ran(2.0, 0.2, 0)), (Ran(3.0, 0.9, 70), Ran(4.0, 1.0, 0))]
    wait, wall = figures("scripted", "shape", taken)
    assert wait.value == pytest.approx((0.1 / 0.2 + 0.9 / 1.0) / 2)
    assert wall.value == pytest.approx((1 / 2 + 3 / 4) / 2)
    assert "60 tokens ahead" in wait.detail
