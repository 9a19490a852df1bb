"""Two servers behind SGLang's router: by its id a run stays where its prefix is, and what is cancelled ends there.

The router passes no logit processor on, so the model says what it says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.request import urlopen

import anyio
import pytest

from apr_agents import Settings, load_dialect, open_engine, run
from apr_agents.engines.base import Engine, Request
from apr_agents.engines.sglang.engine import SGLangEngine
from tests.sglang.questions import FOUR_NUMBERS
from tests.sglang.scripting import metrics, requests_of
from tests.support.asking import plain

pytestmark = [pytest.mark.sglang, pytest.mark.enable_socket, pytest.mark.timeout(300)]

LONG = 3800
"""Tokens: seconds of decoding, and within the window."""


async def test_all_requests_of_a_run_are_on_one_worker(manual_url: str, worker_urls: list[str]) -> None:
    """By the workers' own counts."""
    async with open_engine(f"sglang:{manual_url}") as engine:
        for question in FOUR_NUMBERS[:3]:
            sent, served = await forked(engine, question, worker_urls)
            assert sorted(served) == [0, sent]


async def test_a_router_that_goes_by_the_text_serves_each_request_once(
    cache_aware_url: str, worker_urls: list[str]
) -> None:
    """Where, depends on what it saw before: a plan much longer than its prompt is new to it, and so is a join."""
    async with open_engine(f"sglang:{cache_aware_url}") as engine:
        for question in FOUR_NUMBERS[:3]:
            sent, served = await forked(engine, question, worker_urls)
            assert sum(served) == sent


async def forked(engine: Engine, question: str, worker_urls: Sequence[str]) -> tuple[int, list[float]]:
    """How many requests a run with a block sent, and how many of them each worker served."""
    before = requests_of(worker_urls)
    result = await run(engine, question, Settings(load_dialect("threadweaver")))
    assert result.ended == "answered", result.detail
    sent = sum(span.tokens is not None for span in result.trace.spans)
    assert sent > 3  # it forked
    return sent, [after - earlier for earlier, after in zip(before, requests_of(worker_urls), strict=True)]


@pytest.mark.parametrize("watched", [True, False])
async def test_what_is_cancelled_ends_in_the_server(url: str, *, watched: bool) -> None:
    """Also where nothing is read: then the request goes without a stream, and an abort reaches it."""
    async with endless(url) as engine:
        await cancel(engine, [url], watched=watched)


@pytest.mark.parametrize("watched", [True, False])
async def test_it_does_behind_a_router(router_url: str, worker_urls: list[str], *, watched: bool) -> None:
    async with endless(router_url) as engine:
        await cancel(engine, worker_urls, watched=watched)


async def test_cancelling_does_not_make_the_router_shun_a_worker(router_url: str, worker_urls: list[str]) -> None:
    """Ten failures would open its circuit breaker for this worker."""
    async with endless(router_url) as engine:
        for _ in range(12):
            await cancel(engine, worker_urls, watched=True)
        before = requests_of(worker_urls)
        async with engine.stream(Request(plain(engine, "Numbers: 3 4"), 1, run_id="the same run")) as chunks:
            assert [chunk async for chunk in chunks]
    assert sum(requests_of(worker_urls)) == sum(before) + 1


def endless(url: str) -> SGLangEngine:
    """An engine whose model does not end by itself."""

    def without_end(_: Request) -> Mapping[str, object]:
        return {"sampling_params": {"ignore_eos": True}}

    return SGLangEngine(url, extend=without_end)


async def cancel(engine: Engine, urls: Sequence[str], *, watched: bool) -> None:
    """Leave a long request once a server runs it; it is given up there, long before its end."""
    before = await anyio.to_thread.run_sync(generated_by, urls)
    request = Request(plain(engine, "Numbers: 3 4"), LONG, watched=watched, run_id="the same run")
    async with anyio.create_task_group() as group:
        group.start_soon(read, engine, request)
        await until(urls, running=1)
        group.cancel_scope.cancel()
    await until(urls, running=0)
    assert await anyio.to_thread.run_sync(generated_by, urls) - before < LONG


async def read(engine: Engine, request: Request) -> None:
    async with engine.stream(request) as chunks:
        async for _ in chunks:
            pass


async def until(urls: Sequence[str], *, running: int) -> None:
    """Wait until the servers together have so many requests, by their own count."""
    while await anyio.to_thread.run_sync(running_on, urls) != running:  # noqa: ASYNC110  # another process's count
        await anyio.sleep(0.02)


def running_on(urls: Sequence[str]) -> int:
    loads: list[dict[str, Any]] = []
    for url in urls:
        with urlopen(f"{url}/v1/loads", timeout=30) as response:
            loads += json.load(response)["loads"]
    return sum(load["num_running_reqs"] + load["num_waiting_reqs"] for load in loads)


def generated_by(urls: Sequence[str]) -> float:
    return sum(metrics(url)["sglang:realtime_tokens_total"] for url in urls)
