"""Any model that LiteLLM reaches, seen as an Engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from apr_agents.clock import Clock, MonotonicClock
from apr_agents.context import Context
from apr_agents.engines.base import Chunk, EngineInfo, Message, Request
from apr_agents.engines.litellm.call import Call, carried
from apr_agents.engines.litellm.faults import hidden, ours
from apr_agents.engines.litellm.opening import Opened, Wanted, open_litellm
from apr_agents.engines.litellm.plain import plain_chunk
from apr_agents.engines.litellm.profiles import PROFILES
from apr_agents.engines.litellm.prompts import chat_of
from apr_agents.engines.litellm.speech import Files
from apr_agents.engines.litellm.witness import Extend
from apr_agents.errors import EngineError, StreamFault, UsageError

SLACK = 0.05
"""Seconds behind a request's deadline in which whoever set it may say so first."""


class LiteLLMEngine:
    """LiteLLM carries a request up to its first token; from there on the answer is read here, strictly. On asyncio.

    Text completions keep the exact context as text; chats get its messages, and what was generated as the assistant's;
    `apr-sglang/NAME` speaks ids, and is SGLang's native endpoint. Providers whose wire is not known are asked plainly.
    """

    def __init__(
        self,
        model: str,
        *,
        api_base: str | None = None,
        api_key: str | None = None,
        tokenizer: str | Path | None = None,
        chat_template: str | Path | None = None,
        dialects: Sequence[str] | None = None,
        router: str | Path | Mapping[str, Any] | None = None,
        wire: str | None = None,
        extend: Extend | None = None,
    ) -> None:
        """Nothing is loaded or asked before the engine is opened.

        `model`: as LiteLLM names it, `hosted_vllm/qwen`; with `router`, a `model_name` of its configuration.
        `api_base`, `api_key`: None: as LiteLLM finds them. `tokenizer`: the model's folder or `tokenizer.json`: its
        chat template and, where its control tags are special tokens, what shows them in texts. `chat_template`: a file
        in place of the model's. `dialects`: those that the model was trained on. `router`: a LiteLLM Router's
        configuration, as a file or as its content. `wire`: what the servers are, one of `PROFILES`; None: as they say.
        `extend`: more fields for the body of a request.
        Raises UsageError for what cannot be meant.
        """
        if not model:
            raise UsageError("engine litellm: a model is needed, such as litellm:hosted_vllm/NAME")
        if wire is not None and wire not in PROFILES:
            raise UsageError(f"engine option wire={wire}: there is {', '.join(PROFILES)}")
        files = Files(tokenizer, chat_template, dialects)
        profile = PROFILES[wire] if wire else None
        self._wanted = Wanted(model, {"api_base": api_base, "api_key": api_key}, router, files, profile, extend)
        self._clock = MonotonicClock()
        self._open: Opened | None = None

    @property
    def info(self) -> EngineInfo:
        return self._open.info if self._open else EngineInfo(f"litellm:{self._wanted.model}", None)

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def opened(self) -> Opened:
        """What was found when it was opened: its deployments, and what is known of the model."""
        return self._opened

    def encode(self, text: str, *, control: bool) -> tuple[int, ...] | None:
        native = self._opened.native
        return None if native is None else native.encode(text, control=control)

    def prompt(self, messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
        return self._opened.prompt(messages, variables)

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: Request) -> AsyncGenerator[AsyncIterator[Chunk]]:
        with self._opened.calls.open(request, self._opened.natives, self._words) as call:
            async with carried(call, lambda: self._ask(call)):
                chunks = self._chunks(call)
                try:
                    yield chunks
                finally:
                    await chunks.aclose()

    async def _chunks(self, call: Call) -> AsyncGenerator[Chunk]:
        chunk: Chunk | None = None
        while chunk is None or chunk.finish is None:
            try:
                chunk = await self._next(call)
            except EngineError as error:
                raise self._named(error, call) from error.__cause__
            if chunk.finish is not None:
                self._opened.room.learn(call.request.context, chunk.finish.usage.prompt)
            yield chunk

    async def _next(self, call: Call) -> Chunk:
        left = self._left(call)
        with anyio.move_on_after(left):
            try:
                return await call.chunks.receive()
            except anyio.EndOfStream:
                return await call.settle()
        raise StreamFault("timeout", f"{call.at or self.info.name}: the deadline passed")

    async def _ask(self, call: Call) -> None:
        """Have LiteLLM send it; a plain answer of a provider whose wire is not known is the whole answer."""
        opened = self._opened
        left = self._left(call)
        fields = {"messages": self._messages(call.request), "max_tokens": opened.room.left(call.request)}
        response = await opened.way.ask(call, fields, left)
        if call.last is None and opened.is_plain(response):
            await call.put(plain_chunk(response, call.request, self.info.name))

    def _messages(self, request: Request) -> object:
        """What LiteLLM sees of the prompt; what a server sees is put in its place where its wire is known."""
        if self._opened.kind == "chat":
            return chat_of(request.context, continues=False)["messages"]
        return [{"role": "user", "content": request.context.text}]

    def _left(self, call: Call) -> float | None:
        """Seconds until the request's deadline, and a little more. Raises StreamFault when it has passed."""
        deadline = call.request.deadline
        if deadline is None:
            return None
        left = deadline - self._clock.now()
        if left <= -SLACK:
            raise StreamFault("timeout", f"{call.at or self.info.name}: the deadline passed")
        return left + SLACK

    def _named(self, error: EngineError, call: Call) -> EngineError:
        """Errors name what was asked and the branch, hold no key, keep the partial text, and ask again only where
        nothing had come."""
        path, secrets = call.request.path, self._opened.secrets
        where = f" (branch {path})" if path.depth else ""
        words = hidden(str(error), secrets)
        error.args = (words if words.endswith(where) else words + where,)
        error.partial = error.partial or call.text
        cut = isinstance(error, StreamFault) and error.fault == "cut"
        error.again = (error.again or cut) and not call.begun
        return error

    def _words(self, error: Exception) -> EngineError:
        return ours(self._opened.litellm, error, self.info.name, self._opened.secrets)

    @property
    def _opened(self) -> Opened:
        if self._open is None:
            raise EngineError(f"the engine litellm:{self._wanted.model} is not open; use it inside `async with`")
        return self._open

    async def __aenter__(self) -> Self:
        if self._open is not None:
            raise UsageError("the engine is open already; make one for each `async with`")
        self._open = await open_litellm(self._wanted)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            await opened.stack.aclose()
