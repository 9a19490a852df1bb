"""A real server says a script exactly, and stops where it is told to."""

from __future__ import annotations

import pytest

from apr_agents.engines.base import Request
from tests.sglang.scripting import END, TOKENIZER, scripted_engine
from tests.support.asking import ask, plain

pytestmark = [pytest.mark.sglang, pytest.mark.enable_socket]

TEXT = "\n<Parallel>\n<Outlines>\n<Outline>1: 3 + 4</Outline>\n</Outlines> 12 then 34 <Thread>"


async def test_a_script_is_said_token_for_token(url: str, processor: str) -> None:
    async with scripted_engine(url, processor, {"": [TEXT]}) as engine:
        answer = await ask(engine, Request(plain(engine, "Numbers: 3 4"), 200))
    assert answer.ids == (*TOKENIZER.encode(TEXT, control=True), END)
    assert answer.text == TEXT
    assert (answer.finish.reason, answer.finish.matched) == ("stop", None)
    assert answer.finish.usage.generated == len(answer.ids)


async def test_a_stop_ends_it_and_is_kept(url: str, processor: str) -> None:
    """A tag that is one token stops by its id, other text as text."""
    for stop in ("</Outlines>", "then 3"):
        async with scripted_engine(url, processor, {"": [TEXT]}) as engine:
            answer = await ask(engine, Request(plain(engine, "Numbers: 3 4"), 200, (stop,)))
        assert (answer.finish.reason, answer.finish.matched) == ("stop", stop)
        assert answer.text.startswith(TEXT[: TEXT.index(stop) + len(stop)])
        assert TEXT.startswith(answer.text)


async def test_its_timings_are_told(url: str, processor: str) -> None:
    async with scripted_engine(url, processor, {"": [TEXT]}) as engine:
        timings = (await ask(engine, Request(plain(engine, "Numbers: 3 4"), 200))).finish.timings
    assert timings.queue is not None
    assert timings.prefill
    assert timings.decode


async def test_a_server_without_metrics_tells_none(misset_url: str, processor: str) -> None:
    async with scripted_engine(misset_url, processor, {"": [TEXT]}) as engine:
        finish = (await ask(engine, Request(plain(engine, "Numbers: 3 4"), 200))).finish
    assert (finish.timings.queue, finish.timings.prefill, finish.timings.decode) == (None, None, None)
    assert finish.usage.cached == 0
