"""What runs leave in the cache is bounded, and no run misses what it still needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from apr_agents import Budget, JoinRule, Settings, account, load_dialect, run
from apr_agents.engines.base import Request
from apr_agents.engines.llamacpp import EmbeddedEngine
from apr_agents.paths import BranchPath
from tests.support.asking import ask, header, plain

THREADWEAVER = load_dialect("threadweaver")
NESTED = Settings(replace(THREADWEAVER, nests=True), template_mode="nested", budget=Budget(tokens=4_000))


async def test_an_engine_that_was_long_in_use_holds_no_more_than_a_young_one() -> None:
    parked: list[int] = []
    async with EmbeddedEngine() as engine:
        for target in range(18, 26):
            result = await run(engine, f"Numbers: 26 45 27 21 Target: {target}", Settings(THREADWEAVER))
            assert len(result.trace.branches) > 2
            tokens = account(result.trace).tokens
            assert tokens.reused == tokens.reused_of == tokens.reusable
            parked.append(engine.counters.parked)
    assert max(parked) <= 2  # its own last sequence, and the newest of another run


@pytest.mark.parametrize("ahead", [True, False])
async def test_a_branch_that_forked_finds_its_prefix_again(ahead: bool) -> None:
    """Also when the run around it warms the join's prefix in the meantime."""
    settings = replace(NESTED, join=JoinRule(ahead=ahead))
    async with EmbeddedEngine(context_tokens=16_384) as engine:  # no sequence has to make room
        result = await run(engine, "Numbers: 3 8 12 5 7 Target: 40", settings)
    assert any(branch.path.count("/") for branch in result.trace.branches)
    tokens = account(result.trace).tokens
    assert tokens.reused
    assert tokens.reused == tokens.reused_of


async def test_a_branch_is_kept_until_what_it_joins_says_more(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1) as engine:
        context = plain(engine, "the plan and then")
        asked = Request(context, 1, run_id="one")
        branch = replace(asked, context=header(engine, context, " a branch of its own"), path=BranchPath(((1, 1),)))
        await ask(engine, asked)
        for _ in range(2):
            await ask(engine, branch)
        joined = header(engine, context, "joined")
        await ask(engine, replace(asked, context=joined, max_tokens=0))
        kept = await ask(engine, branch)
        await ask(engine, replace(asked, context=joined))
        gone = await ask(engine, branch)
    assert kept.finish.usage.cached == branch.context.tokens - 1
    assert gone.finish.usage.cached == context.tokens
