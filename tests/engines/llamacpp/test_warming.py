"""Requests for no new tokens: the context is evaluated and kept, and nothing is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from apr_agents.engines.base import Request
from apr_agents.engines.llamacpp import EmbeddedEngine
from apr_agents.errors import ContextFull
from tests.support.asking import ask, ask_all, header, plain


@pytest.mark.parametrize("model", ["small", "recurrent"])
async def test_a_later_request_finds_all_of_the_context_in_the_cache(
    model: str, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(model)
    async with EmbeddedEngine(path, threads=1, exact=True) as engine:
        assert engine.info.warms
        context = plain(engine, "the plan and then the rest of it")
        warmed = await ask(engine, Request(context, max_tokens=0))
        assert [(chunk.text, chunk.ids) for chunk in warmed.chunks] == [("", ())]
        assert (warmed.finish.reason, warmed.finish.matched) == ("length", None)
        usage, timings = warmed.finish.usage, warmed.finish.timings
        assert (usage.prompt, usage.cached, usage.generated) == (context.tokens, 0, 0)
        assert timings.prefill is not None
        assert timings.prefill > 0
        longer = header(engine, context, " and more")
        answer = await ask(engine, Request(longer, max_tokens=2))
        assert answer.finish.usage.cached == context.tokens


async def test_it_changes_no_answer(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True) as engine:
        request = Request(plain(engine, "the plan and then"), max_tokens=20)
        cold = await ask(engine, request)
    async with EmbeddedEngine(small, threads=1, exact=True) as engine:
        context = plain(engine, "the plan and then")
        await ask(engine, Request(context, max_tokens=0))
        assert (await ask(engine, Request(context, max_tokens=20))).ids == cold.ids


async def test_many_share_what_they_have_in_common(small: Path) -> None:
    """A request that comes while its prefix is being evaluated waits for it, and evaluates only what is its own."""
    async with EmbeddedEngine(small, threads=1, batch=64) as engine:
        context = plain(engine, "the plan " * 30)
        longer = header(engine, context, " and more of it")
        await ask_all(engine, [Request(context, 0), Request(longer, 1), Request(longer, 0)])
        assert engine.counters.evaluated < longer.tokens + 40
        assert engine.counters.active == 0


async def test_what_does_not_fit_is_refused_as_ever(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, context_tokens=64) as engine:
        with pytest.raises(ContextFull):
            await ask(engine, Request(plain(engine, "x" * 400), max_tokens=0))
