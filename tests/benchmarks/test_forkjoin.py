"""The fork and join benchmark: what a script says, and one small round on the engines that need no server."""

from __future__ import annotations

import pytest

from apr_agents import load_dialect
from apr_agents.engines.scripted import Vocabulary
from benchmarks.forkjoin import rounds
from benchmarks.forkjoin_figures import Round, figures
from benchmarks.script import branch_tokens, write
from benchmarks.server import Served


def test_a_seed_says_the_same_text_behind_prompts_that_share_nothing() -> None:
    one, other = write(3, 1, prompt=10), write(3, 1, prompt=11, respelled=0.5)
    assert one.joined == other.joined
    assert one.question[:2] != other.question[:2]
    assert sum(map(len, other.branches)) > sum(map(len, one.branches))
    assert write(3, 2).joined != one.joined


@pytest.mark.parametrize("branches", [1, 8, 16, 32, 128])
def test_branches_have_the_tokens_they_should_and_the_joined_text_fits_a_small_window(branches: int) -> None:
    script = write(branches, 5)
    assert all(branch_tokens(branches) <= len(said) <= 1.2 * branch_tokens(branches) for said in script.branches)
    vocabulary = Vocabulary(load_dialect("threadweaver"))
    words = [piece for piece in vocabulary.pieces(script.question + script.joined) if not piece.isspace()]
    assert len(words) < 4096
    assert branches > 16 or branch_tokens(branches) == 100


async def taken(spec: str) -> Round:
    page, found = await rounds(Served(spec), [2], 1, 12)
    assert page == 1
    assert all(figure.ok for figure in figures(spec, page, found))
    return found[2][0]


async def test_the_scripted_engine_finds_every_prefix() -> None:
    forked = (await taken("scripted"))["forked"]
    assert (forked.short_fork, forked.short_join, forked.reuse) == (0, 0, 1.0)
    assert forked.wall == pytest.approx(forked.own)


async def test_the_embedded_engine_says_the_script_and_finds_every_prefix() -> None:
    one = await taken("embedded")
    assert one["forked"].reuse == one["again"].reuse == one["forked respelled"].reuse == 1.0
    assert one["forked"].short_fork == one["forked"].short_join == 0
