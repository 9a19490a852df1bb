"""Ways to read 100 chunks from the chunk server, all streams at once: bare aiohttp, the engines, LiteLLM by itself."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import anyio

from benchmarks.chunks import CHUNKS, MODEL

if TYPE_CHECKING:  # the bare reader loads no engine
    from apr_agents.engines.base import Engine

PROMPT = tuple(15 + n % 500 for n in range(1000))
"""The ids that every request has."""
TEXT = " 137" * 1000
"""The same length as text, where ids are not spoken."""


@dataclass(frozen=True, slots=True)
class Read:
    """What one process read."""

    whole: int
    """Streams that came whole."""
    cpu: float
    """Seconds of the process while it read."""
    peak: int
    """Bytes of memory that the process had at most in its life."""


One = Callable[[], Awaitable[bool]]
"""Reads one stream; whether all of its chunks came."""


async def read(one: One, streams: int) -> Read:
    """Read this many streams at once."""
    whole = 0

    async def count() -> None:
        nonlocal whole
        if await one():
            whole += 1

    start = time.process_time()
    async with anyio.create_task_group() as group:
        for _ in range(streams):
            group.start_soon(count)
    cpu = time.process_time() - start
    scale = 1 if sys.platform == "darwin" else 1024
    return Read(whole, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale)


async def bare(url: str, streams: int, rounds: int) -> list[Read]:
    """aiohttp by itself: cut at blank lines, decode the JSON, forget it."""
    import aiohttp

    native = url.endswith("/generate")
    prompt = {"input_ids": PROMPT} if native else {"prompt": TEXT}
    body = {**prompt, "sampling_params": {"max_new_tokens": CHUNKS}, "stream": True}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one() -> bool:
            count, rest = 0, b""
            async with session.post(url, json=body) as response:
                async for piece in response.content.iter_any():
                    *events, rest = (rest + piece).split(b"\n\n")
                    for event in events:
                        if event != b"data: [DONE]":
                            json.loads(event[6:])
                            count += 1
            return count == (CHUNKS if native else CHUNKS + 2)

        return [await read(one, streams) for _ in range(rounds)]


async def sglang(url: str, streams: int, rounds: int) -> list[Read]:
    """The SGLang engine."""
    from apr_agents.engines.sglang import SGLangEngine

    return await _through(SGLangEngine(url.removesuffix("/generate")), streams, rounds)


async def litellm_native(url: str, streams: int, rounds: int) -> list[Read]:
    """The LiteLLM engine over the provider that speaks SGLang's native endpoint."""
    from apr_agents.engines.litellm import LiteLLMEngine

    engine = LiteLLMEngine("apr-sglang/countdown", api_base=url.removesuffix("/generate"))
    return await _through(engine, streams, rounds)


async def litellm_text(url: str, streams: int, rounds: int) -> list[Read]:
    """The LiteLLM engine over text completions."""
    from apr_agents.engines.litellm import LiteLLMEngine

    model, base = "text-completion-openai/countdown", url.removesuffix("/completions")
    engine = LiteLLMEngine(model, api_base=base, api_key="none", tokenizer=MODEL, wire="sglang")
    return await _through(engine, streams, rounds)


async def litellm_alone(url: str, streams: int, rounds: int) -> list[Read]:
    """LiteLLM's own stream of text completions, without this package."""
    import litellm

    complete = cast("Callable[..., Awaitable[Any]]", litellm.atext_completion)
    model, base = "text-completion-openai/countdown", url.removesuffix("/completions")

    async def one() -> bool:
        count = 0
        stream = await complete(model=model, prompt=TEXT, api_base=base, api_key="none", stream=True, max_retries=0)
        async for chunk in stream:
            count += bool(chunk.choices and chunk.choices[0].text)
        return count == CHUNKS

    return [await read(one, streams) for _ in range(rounds)]


async def _through(engine: Engine, streams: int, rounds: int) -> list[Read]:
    """This engine's chunks, and nothing done with them."""
    from apr_agents.context import Context, Origin, Segment
    from apr_agents.engines.base import Request

    context = Context.of(Segment(TEXT, PROMPT, Origin.client))

    async def one() -> bool:
        count, ended = 0, False
        async with engine.stream(Request(context, CHUNKS)) as chunks:
            async for chunk in chunks:
                count += bool(chunk.text)
                ended = chunk.finish is not None
        return ended and count == CHUNKS

    async with engine:
        return [await read(one, streams) for _ in range(rounds)]


READERS: Mapping[str, Callable[[str, int, int], Awaitable[list[Read]]]] = {
    "bare": bare,
    "sglang": sglang,
    "litellm alone": litellm_alone,
    "litellm text": litellm_text,
    "litellm apr-sglang": litellm_native,
}


def main() -> None:
    """`python -m benchmarks.readers NAME URL STREAMS ROUNDS`: a line of JSON for each round."""
    name, url, streams, rounds = sys.argv[1:]
    for one in anyio.run(READERS[name], url, int(streams), int(rounds)):
        print(json.dumps(asdict(one)), flush=True)


if __name__ == "__main__":
    main()
