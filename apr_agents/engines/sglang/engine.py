"""A SGLang server, or a router in front of several, seen as an Engine."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from apr_agents.clock import Clock, MonotonicClock
from apr_agents.context import Context
from apr_agents.engines.base import Chunk, EngineInfo, Message, Request
from apr_agents.engines.sglang.client import ROUTING_KEY, Address, Client
from apr_agents.engines.sglang.connect import Connected, ModelFiles, connect
from apr_agents.engines.sglang.server import ServerFacts
from apr_agents.engines.sglang.tokens import RemoteTokens, Tokens
from apr_agents.engines.sglang.wire import Answer, Stops, body_of, stops_of
from apr_agents.engines.sse import EventReader
from apr_agents.errors import ContextFull, EngineError, EngineUnavailable, RequestRefused, StreamFault, UsageError

SLACK = 0.05
"""Seconds behind a request's deadline in which whoever set it may say so first."""

Extend = Callable[[Request], Mapping[str, object]]
"""More fields for the body of a request; `sampling_params` among them are put among the engine's own."""


class SGLangEngine:
    """SGLang's native endpoint: exact ids both ways, and the server's own counts and timings. On asyncio."""

    def __init__(
        self,
        url: str,
        *,
        tokenizer: str | Path | None = None,
        chat_template: str | Path | None = None,
        dialects: Sequence[str] | None = None,
        api_key: str | None = None,
        extend: Extend | None = None,
    ) -> None:
        """Nothing is asked before the engine is opened.

        `url`: of the server or router, such as `http://127.0.0.1:30000`. `tokenizer`: a `tokenizer.json` or the model's
        folder; None: the server's own model where this machine has it, as a folder or as a download of Hugging Face's,
        else the server is asked for ids.
        `chat_template`: a file to use in place of the model's. `dialects`: those that the model was trained on; None:
        what `apr_dialect` in the folder's `config.json` says. Raises UsageError for an address that is none.
        """
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"engine sglang:{url}: an address is needed, such as sglang:http://127.0.0.1:30000")
        self._address = Address(url.rstrip("/"), api_key)
        self._model = ModelFiles(tokenizer, chat_template, dialects)
        self._extend = extend
        self._clock = MonotonicClock()
        self._open: Connected | None = None

    @property
    def info(self) -> EngineInfo:
        return self._open.info if self._open else EngineInfo(f"sglang:{self._address.url}", None)

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def facts(self) -> ServerFacts:
        """What the server says of itself."""
        return self._opened.facts

    @property
    def tokens(self) -> Tokens:
        """Where ids come from."""
        return self._opened.tokens

    def encode(self, text: str, *, control: bool) -> tuple[int, ...]:
        return self._opened.tokens.encode(text, control=control)

    def prompt(self, messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
        return self._opened.tokens.prompt(messages, variables)

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: Request) -> AsyncGenerator[AsyncIterator[Chunk]]:
        chunks = self._chunks(request)
        try:
            yield chunks
        finally:
            await chunks.aclose()

    async def _chunks(self, request: Request) -> AsyncGenerator[Chunk]:
        """The chunks of one request; whatever ends it early is told to the server."""
        opened = self._opened
        stops = stops_of(request, lambda text: opened.tokens.encode(text, control=True))
        answer = Answer(stops, opened.tokens.decode)
        streamed = request.max_tokens > 0  # there is nothing to cut in a request for no new tokens
        with _named(self._address.url, request, answer):
            self._check(request, opened)
            async with self._sent(request, stops, answer, stream=streamed) as response:
                if not streamed:
                    yield answer.whole(await response.read())
                    return
                await _check_stream(response)
                reader = EventReader()
                async for piece in _pieces(response):
                    for data in reader.feed(piece):
                        chunk = answer.event(data)
                        if chunk is not None:
                            yield chunk
                            if chunk.finish is not None:
                                return
                answer.close()

    @asynccontextmanager
    async def _sent(
        self, request: Request, stops: Stops, answer: Answer, *, stream: bool
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """The response to this request; a request that is left before its end is given up in the server too."""
        opened, rid = self._opened, secrets.token_hex(16)
        more = self._extend(request) if self._extend else None
        body = body_of(request, stops, rid, stream=stream, more=more)
        headers = {ROUTING_KEY: request.run_id} if request.run_id else None
        seconds = self._left(request)
        try:
            async with opened.client.send("POST", "/generate", body, headers=headers, seconds=seconds) as response:
                yield response
        except (RequestRefused, ContextFull, EngineUnavailable):
            raise  # the server has nothing to give up
        except BaseException:  # a cancellation, too
            await self._give_up(answer, rid)
            raise
        await self._give_up(answer, rid)

    async def _give_up(self, answer: Answer, rid: str) -> None:
        """Tell the server where an answer was left before its end; a router has no ear for that."""
        if not (answer.complete or self._opened.facts.router):
            await self._opened.client.abort(rid)

    def _left(self, request: Request) -> float | None:
        """Seconds until the request's deadline, and a little more. Raises StreamFault when it has passed."""
        if request.deadline is None:
            return None
        left = request.deadline - self._clock.now()
        if left <= 0:
            raise StreamFault("timeout", "the deadline passed before the request was sent")
        return left + SLACK

    def _check(self, request: Request, opened: Connected) -> None:
        """Raises EngineError for ids that the model does not know: a server would not survive them."""
        if opened.ids is not None and max(request.context.ids, default=0) >= opened.ids:
            raise EngineError(
                f"{self._address.url}: the context has ids beyond the model's {opened.ids}; it is another model's"
            )

    @property
    def _opened(self) -> Connected:
        if self._open is None:
            raise EngineError(f"the engine for {self._address.url} is not open; use it inside `async with`")
        return self._open

    async def __aenter__(self) -> Self:
        if self._open is not None:
            raise UsageError("the engine is open already; make one for each `async with`")
        client = await Client(self._address).__aenter__()
        try:
            self._open = await connect(client, self._model)
        except BaseException:  # a cancellation, too: no connection stays open
            await client.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            if isinstance(opened.tokens, RemoteTokens):
                opened.tokens.close()
            await opened.client.__aexit__(kind, error, trace)


@contextmanager
def _named(url: str, request: Request, answer: Answer) -> Generator[None]:
    """Errors name the server and the branch, keep the partial text, and ask again only where nothing had come."""
    try:
        yield
    except EngineError as error:
        words = str(error)
        where = f" (branch {request.path})" if request.path.depth else ""
        error.args = ((words if words.startswith(url) else f"{url}: {words}") + where,)
        error.partial = answer.text
        cut = isinstance(error, StreamFault) and error.fault == "cut"
        error.again = (error.again or cut) and not answer.count
        raise


async def _pieces(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    """The body as it comes, also what came together with the breaking of the connection, which aiohttp would drop."""
    try:
        async for piece in response.content.iter_any():
            yield piece
    except (aiohttp.ClientError, OSError):
        rest: bytes = response.content._read_nowait(-1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no public way
        if rest:
            yield rest
        raise


async def _check_stream(response: aiohttp.ClientResponse) -> None:
    """Raises StreamFault for a success that is no event stream, such as a proxy's page."""
    if response.content_type != "text/event-stream":
        begun = " ".join((await response.content.read(200)).decode("utf-8", "replace").split())
        raise StreamFault("foreign", f"the answer is {response.content_type}, no event stream: {begun[:80]!r}")
