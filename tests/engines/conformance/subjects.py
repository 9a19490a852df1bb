"""The engines under test. A new engine is one more factory here, and every test of this folder runs on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import anyio
import pytest

from apr_agents.clock import MonotonicClock
from apr_agents.dialects import load_dialect
from apr_agents.engines.base import Engine
from apr_agents.engines.llamacpp import EmbeddedEngine
from apr_agents.engines.scripted import ScriptedEngine
from tests.engines.faults.transports import apr_sglang, litellm_chat, litellm_openai_chat, litellm_text, sglang
from tests.sglang.addresses import address
from tests.support.random_gguf import RandomModel, write
from tests.support.servers.double import Double, serving
from tests.support.servers.facts import Serving
from tests.support.servers.saying import Saying
from tests.support.servers.speech import Speaker

DIALECT = load_dialect("threadweaver")
Texts = Mapping[str, str | Sequence[str]]
"""By branch path (`""` is the run), what the model says to its requests in turn."""


@dataclass(frozen=True, slots=True)
class Under:
    """An engine that is open, and what else is known of it."""

    engine: Engine
    busy: Callable[[], Awaitable[int]]
    """How many requests the server is at work on, by its own account."""
    decode: Callable[[Sequence[int]], str] | None = None
    """The text of ids, control tags as they are written; None: only the engine knows."""


Open = Callable[[Texts, Path], AbstractAsyncContextManager[Under]]


@dataclass(frozen=True, slots=True)
class Subject:
    """One engine under test."""

    open: Open
    says: bool = True
    """Whether it says the script it is given; otherwise what it says is its own affair."""
    watched: bool = True
    """Whether requests are watched: where not, an engine may send one chunk."""


@asynccontextmanager
async def scripted(texts: Texts, folder: Path) -> AsyncGenerator[Under]:
    del folder
    async with ScriptedEngine(Saying(texts, Speaker()).text, DIALECT, clock=MonotonicClock(), window=4096) as engine:

        async def busy() -> int:
            return engine.open_requests

        def decode(ids: Sequence[int]) -> str:
            vocabulary = engine.vocabulary
            known = {token: text for text, token in {**vocabulary.tags, **vocabulary._ids}.items()}  # pyright: ignore[reportPrivateUsage]
            return "".join(known[token] for token in ids)

        yield Under(engine, busy, decode)


@asynccontextmanager
async def embedded(texts: Texts, folder: Path) -> AsyncGenerator[Under]:
    del texts
    path = write(folder / "random.gguf", RandomModel(context=4096, quiet=True))
    async with EmbeddedEngine(path, threads=1, exact=True) as engine:

        async def busy() -> int:
            return engine.counters.waiting + engine.counters.active

        yield Under(engine, busy)


def on_double(make: Callable[[str, Saying], Engine], setting: Serving | None = None) -> Open:
    """An engine over HTTP on a double, which sends an event each millisecond."""

    @asynccontextmanager
    async def opened(texts: Texts, folder: Path) -> AsyncGenerator[Under]:
        del folder
        async with serving(Double(setting or Serving(pause=0.001))) as double:

            async def busy() -> int:
                return double.generating

            async with make(double.url, Saying(texts, double.speaker)) as engine:
                yield Under(engine, busy, double.speaker.decode)

    return opened


def on_server(make: Callable[[str, Saying], Engine]) -> Open:
    """The same on the real server that `make test-sglang` starts."""

    @asynccontextmanager
    async def opened(texts: Texts, folder: Path) -> AsyncGenerator[Under]:
        del folder
        url, speaker = address("APR_SGLANG_URL"), Speaker()
        processor = await anyio.Path(address("APR_SGLANG_PROCESSOR")).read_text(encoding="utf-8")

        async def busy() -> int:
            async with aiohttp.ClientSession() as session, session.get(f"{url}/v1/loads") as response:
                load = (await response.json())["loads"][0]
            return load["num_running_reqs"] + load["num_waiting_reqs"]

        await forget(url)
        async with make(url, Saying(texts, speaker, processor)) as engine:
            yield Under(engine, busy, speaker.decode)

    return opened


async def forget(url: str) -> None:
    """Empty the server's cache of what other tests asked for; it refuses while one of theirs is being given up."""
    async with aiohttp.ClientSession() as session:
        status = 0
        while status != 200:
            async with session.post(f"{url}/flush_cache") as response:
                status = response.status


SUBJECTS: Mapping[str, Subject] = {
    "scripted": Subject(scripted),
    "embedded": Subject(embedded, says=False),
    "sglang": Subject(on_double(sglang)),
    "sglang-unwatched": Subject(on_double(sglang), watched=False),
    "sglang-incremental": Subject(on_double(sglang, Serving(incremental=True, pause=0.001))),
    "litellm-text": Subject(on_double(litellm_text)),
    "litellm-chat": Subject(on_double(litellm_chat)),
    "litellm-openai-chat": Subject(on_double(litellm_openai_chat)),
    "apr-sglang": Subject(on_double(apr_sglang)),
    "apr-sglang-unwatched": Subject(on_double(apr_sglang), watched=False),
}
REAL: Mapping[str, Subject] = {
    "real-sglang": Subject(on_server(sglang)),
    "real-sglang-unwatched": Subject(on_server(sglang), watched=False),
    "real-litellm-text": Subject(on_server(litellm_text)),
    "real-litellm-chat": Subject(on_server(litellm_chat)),
    "real-apr-sglang": Subject(on_server(apr_sglang)),
}
ALL = {**SUBJECTS, **REAL}


def names(*, says: bool = False) -> list[object]:
    """Parameters: the engines under test; `says`: only those that say what they are told to."""
    real = [pytest.param(name, marks=pytest.mark.sglang) for name in REAL]
    return [*(name for name, subject in SUBJECTS.items() if subject.says or not says), *real]
