"""The provider `apr-sglang/NAME` of LiteLLM's: SGLang's native endpoint with ids, counts, the stop, strict ends.

Import it where LiteLLM is wanted: it imports LiteLLM.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast
from weakref import WeakKeyDictionary

import anyio.from_thread
import anyio.to_thread

from apr_agents.engines.base import Chunk, Finish
from apr_agents.engines.litellm.asking import (
    Asked,
    Shown,
    asked_of,
    deadline_of,
    facts_of,
    more_of,
    prompt_of,
    usage_of,
)
from apr_agents.engines.litellm.call import HEADER, Call, Calls
from apr_agents.engines.litellm.deployments import NATIVE
from apr_agents.engines.litellm.faults import hidden, theirs
from apr_agents.engines.litellm.loading import Foreign, load
from apr_agents.engines.sglang.engine import SGLangEngine
from apr_agents.errors import AprError, EngineError, EngineUnavailable, UsageError

litellm = load()
_Base: Any = litellm.CustomLLM
_Engines = dict[tuple[str, str | None], SGLangEngine]


def register() -> SGLangProvider:
    """The provider in LiteLLM's map, put there where it is not yet."""
    for item in litellm.custom_provider_map:
        if item["provider"] == NATIVE and isinstance(item["custom_handler"], SGLangProvider):
            return item["custom_handler"]
    provider = SGLangProvider()
    litellm.custom_provider_map.append({"provider": NATIVE, "custom_handler": provider})
    litellm.utils.custom_llm_setup()
    return provider


class SGLangProvider(_Base):
    """LiteLLM calls its methods. Its mutable state is the servers that it is connected to, by event loop, and the calls
    of our own engines that are under way."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = Calls({})
        self._engines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Engines] = WeakKeyDictionary()

    async def aclose(self) -> None:
        """Close the connections that were made on this event loop."""
        for engine in self._engines.pop(asyncio.get_running_loop(), {}).values():
            await engine.__aexit__(None, None, None)

    async def acompletion(self, *args: Foreign, **given: Foreign) -> Foreign:
        headers: Mapping[str, str] = given.get("headers") or {}
        call = self.calls.find(headers.get(HEADER))
        if call is not None:
            await _carry(call, given)
            return _response(given, call.text, [], cast("Chunk", call.last).finish)
        async with self._asked(given, await self._engine(given), watched=False) as (request, chunks):
            return await _whole(given, request, chunks)

    async def astreaming(self, *args: Foreign, **given: Foreign) -> AsyncIterator[Foreign]:
        async with self._asked(given, await self._engine(given), watched=True) as (request, chunks):
            shown = Shown(request)
            async for chunk in chunks:
                yield _event(shown.take(chunk), chunk)

    def completion(self, *args: Foreign, **given: Foreign) -> Foreign:
        with anyio.from_thread.start_blocking_portal() as portal:
            return portal.call(self._once, given)

    def streaming(self, *args: Foreign, **given: Foreign) -> Iterator[Foreign]:
        with (
            anyio.from_thread.start_blocking_portal() as portal,
            portal.wrap_async_context_manager(self._apart(given)) as (request, chunks),
        ):
            shown = Shown(request)
            while True:
                try:
                    chunk = portal.call(chunks.__anext__)
                except StopAsyncIteration:
                    return
                yield _event(shown.take(chunk), chunk)

    async def _once(self, given: Mapping[str, Any]) -> Foreign:
        async with self._apart(given) as (request, chunks):
            return await _whole(given, request, chunks)

    @asynccontextmanager
    async def _apart(self, given: Mapping[str, Any]) -> AsyncGenerator[tuple[Asked, AsyncIterator[Chunk]]]:
        """The same on a connection of its own, for callers without an event loop."""
        with _told(given):
            engine = await _new(given).__aenter__()
        try:
            async with self._asked(given, engine, watched=True) as asked:
                yield asked
        finally:
            await engine.__aexit__(None, None, None)

    @asynccontextmanager
    async def _asked(
        self, given: Mapping[str, Any], engine: SGLangEngine, *, watched: bool
    ) -> AsyncGenerator[tuple[Asked, AsyncIterator[Chunk]]]:
        """The request that LiteLLM's arguments mean, and its chunks. Raises LiteLLM's errors."""
        with _told(given):
            params: Mapping[str, Any] = given.get("optional_params") or {}
            more: Mapping[str, Any] = given.get("litellm_params") or {}
            as_text = bool(more.get("text_completion"))
            context = await anyio.to_thread.run_sync(
                lambda: prompt_of(engine, given.get("messages") or (), params, as_text=as_text)
            )
            metadata: Mapping[str, Any] = more.get("metadata") or {}
            request = asked_of(
                context,
                params,
                window=engine.info.window,
                run_id=str(metadata.get("session_id") or ""),
                watched=watched,
                deadline=deadline_of(engine.clock.now, given.get("timeout")),
            )
            async with engine.stream(request) as chunks:
                yield request, chunks

    async def _engine(self, given: Mapping[str, Any]) -> SGLangEngine:
        """The engine of this server on this event loop, connected once."""
        engines = self._engines.setdefault(asyncio.get_running_loop(), {})
        key = (str(given.get("api_base")), given.get("api_key"))
        known = engines.get(key)
        if known is None:
            with _told(given):
                opened = await _new(given).__aenter__()
            known = engines.setdefault(key, opened)
            if known is not opened:  # another request was faster
                await opened.__aexit__(None, None, None)
        return known


def _new(given: Mapping[str, Any]) -> SGLangEngine:
    base = given.get("api_base")
    if not base:
        raise UsageError(f"apr-sglang/{given.get('model')}: give the server's address as api_base=http://HOST:PORT")
    return SGLangEngine(base, api_key=given.get("api_key"), extend=more_of)


async def _carry(call: Call, given: Mapping[str, Any]) -> None:
    """A call of an engine of ours: its chunks go straight there."""
    base = str(given.get("api_base"))
    try:
        call.start(base)
        engine = call.natives.get(base)
        if engine is None:
            raise EngineUnavailable(f"{base} could not be reached when the engine was opened", again=True)
        async with engine.stream(call.request) as chunks:
            async for chunk in chunks:
                await call.put(chunk)
    except EngineError as error:
        call.fail(error)
        raise theirs(litellm, error, str(given.get("model"))) from error


async def _whole(given: Mapping[str, Any], request: Asked, chunks: AsyncIterator[Chunk]) -> Foreign:
    shown, ids = Shown(request), list[int]()
    text, finish = "", None
    async for chunk in chunks:
        text += shown.take(chunk)
        ids.extend(chunk.ids or ())
        finish = chunk.finish
    return _response(given, text, ids, finish)


def _response(given: Mapping[str, Any], text: str, ids: list[int], finish: Finish | None) -> Foreign:
    """A whole answer in the form that LiteLLM gave for it."""
    response = given["model_response"]
    if finish is None:
        raise EngineError("the answer has no end")
    fields = facts_of(ids, finish)
    choice = response.choices[0]
    choice.message = litellm.Message(content=text, role="assistant", provider_specific_fields=fields)
    choice.finish_reason = finish.reason
    response.model = f"{NATIVE}/{given['model']}"
    response.usage = litellm.Usage(**usage_of(finish))
    return response


def _event(text: str, chunk: Chunk) -> dict[str, Any]:
    """A chunk in LiteLLM's form."""
    finish = chunk.finish
    ids = list(chunk.ids or ())
    return {
        "text": text,
        "is_finished": finish is not None,
        "finish_reason": finish.reason if finish else "",
        "usage": usage_of(finish) if finish else None,
        "index": 0,
        "tool_use": None,
        "provider_specific_fields": facts_of(ids, finish) if finish else {"ids": ids},
    }


@contextmanager
def _told(given: Mapping[str, Any]) -> Generator[None]:
    """Our errors leave this block as LiteLLM's, without the key."""
    try:
        yield
    except AprError as error:
        error.args = (hidden(str(error), [given.get("api_key")]),)
        raise theirs(litellm, error, str(given.get("model"))) from None
