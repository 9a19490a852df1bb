"""The chunk server and what reads it: every reader of ours gets all of every stream, and a deadline ends a drip."""

from __future__ import annotations

import json

import pytest

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Request
from apr_agents.engines.sglang import SGLangEngine
from apr_agents.errors import StreamFault
from benchmarks.chunks import CHUNKS, chunk_server, completions, native
from benchmarks.client import reads
from benchmarks.readers import bare, sglang


@pytest.mark.parametrize("cumulative", [True, False])
def test_both_forms_of_events_say_the_same(cumulative: bool) -> None:
    *events, done = native(5, cumulative=cumulative)
    assert done == b"data: [DONE]\n\n"
    said = [json.loads(event[6:]) for event in events]
    assert said[-1]["meta_info"]["finish_reason"] == {"type": "length", "length": 5}
    texts = [one["text"] for one in said]
    assert (texts[-1] if cumulative else "".join(texts)) == " 100 101 102 103 104"
    assert len(completions(5)) == 8


@pytest.mark.enable_socket
async def test_nothing_is_lost_on_the_way() -> None:
    with chunk_server() as url:
        for reader in (bare, sglang):
            (found,) = await reader(f"{url}/burst/generate", 8, 1)
            assert found.whole == 8
            assert found.cpu > 0 < found.peak


@pytest.mark.enable_socket
async def test_a_deadline_ends_a_stream_that_drips() -> None:
    context = Context.of(Segment("", (15,), Origin.client))
    with chunk_server() as url:
        async with SGLangEngine(f"{url}/drip") as engine:
            deadline = engine.clock.now() + 0.2
            with pytest.raises(StreamFault) as caught:  # noqa: PT012  # reading is what raises
                async with engine.stream(Request(context, CHUNKS, deadline=deadline)) as chunks:
                    async for _ in chunks:
                        pass
            assert caught.value.fault == "timeout"
            assert engine.clock.now() >= deadline


@pytest.mark.enable_socket
def test_each_reader_is_a_process_of_its_own_and_its_cost_a_ratio() -> None:
    with chunk_server() as url:
        ours, theirs = (reads(reader, f"{url}/burst/generate", 4, 1)[0] for reader in ("sglang", "bare"))
    assert ours.whole == theirs.whole == 4
    assert min(ours.peak, theirs.peak) > 10_000_000
