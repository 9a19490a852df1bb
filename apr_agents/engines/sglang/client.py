"""HTTP to one SGLang server or router: requests go out, and whatever comes back is an answer or a named error."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self, cast

import aiohttp
import anyio

from apr_agents.engines.sglang.wire import is_too_long
from apr_agents.errors import ContextFull, EngineError, EngineUnavailable, RequestRefused, StreamFault

ROUTING_KEY = "X-SMG-Routing-Key"
"""The router's affinity header under its policy `manual`."""
CONNECT_SECONDS = 10.0
"""For a server to take a connection."""
ABORT_SECONDS = 0.05
"""For a server to take an abort: leaving a stream may not last longer, and its closing is what frees the server."""
_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Statuses that may pass, and with which nothing was generated."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is."""

    url: str
    """Without a slash at its end."""
    key: str | None = None
    """Its API key; in no message and no trace."""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def __repr__(self) -> str:
        return f"Address({self.url!r})"


class Client:
    """One server's connections; they are kept and used again. Open it with `async with`, on asyncio."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers={**self.address.headers, "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(
        self, path: str, body: Mapping[str, object] | None = None, *, seconds: float = 30.0
    ) -> dict[str, Any] | None:
        """The JSON object behind this path, by POST when there is a body; None where the server has no such path."""
        method = "GET" if body is None else "POST"
        try:
            async with self.send(method, path, body, seconds=seconds) as response:
                return as_object(await response.read())
        except RequestRefused as error:
            if error.status in (404, 405, 501):
                return None
            raise

    @asynccontextmanager
    async def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """The response to a request, its body unread. `seconds`: until its last byte; None: no limit.

        Raises EngineUnavailable when no connection comes about, RequestRefused and ContextFull for a status that is no
        success, StreamFault when the connection breaks, in this method or while the body is read inside the block.
        """
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS, ceil_threshold=math.inf)
        url = self.address.url + path
        begun = False
        try:
            async with self._opened.request(method, url, json=body, headers=headers, timeout=timeout) as response:
                begun = True
                if response.status != 200:
                    raise refusal(self.address.url, response.status, await response.read(), response.headers)
                with _told_of_its_end(response):
                    yield response
        except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError) as error:
            raise EngineUnavailable(
                f"{self.address.url}: no server answers ({reason(error)}); start it, or give its address", again=True
            ) from error
        except TimeoutError as error:
            raise StreamFault("timeout", f"{self.address.url}: the deadline passed") from error
        except aiohttp.ClientResponseError as error:
            raise StreamFault("foreign", f"{self.address.url}: the answer is no HTTP") from error
        except (aiohttp.ClientError, OSError) as error:
            where = "the connection broke" if begun else "the connection broke before an answer"
            raise StreamFault("cut", f"{self.address.url}: {where} ({reason(error)})") from error

    async def abort(self, rid: str) -> None:
        """Tell the server to give up a request. It is told once, for a moment only, and need not answer."""
        with anyio.move_on_after(ABORT_SECONDS, shield=True):
            try:
                async with self.send("POST", "/abort_request", {"rid": rid}):
                    pass
            except EngineError:
                pass  # a router has no such path, and a server that is gone has nothing to abort

    @property
    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise EngineError(f"the engine for {self.address.url} is not open; use it inside `async with`")
        return self._session


@contextmanager
def _told_of_its_end(response: aiohttp.ClientResponse) -> Generator[None]:
    """While a body is read. aiohttp (3.14.5) does not wake its reader when the body's framing breaks, only closes."""
    protocol = response.connection.protocol if response.connection is not None else None
    closed = protocol.closed if protocol is not None else None

    def wake(_: object = None) -> None:
        if not response.content.is_eof() and response.content.exception() is None:
            response.content.set_exception(aiohttp.ClientPayloadError("the body's framing broke"))

    if closed is None:
        wake()
        yield
        return
    closed.remove_done_callback(_heard)  # once for each connection, which may carry many requests
    closed.add_done_callback(_heard)
    closed.add_done_callback(wake)
    try:
        yield
    finally:
        closed.remove_done_callback(wake)


def _heard(closed: asyncio.Future[None]) -> None:
    """Take note of a break that its reader is told of anyway: asyncio reports every error that nobody asked about."""
    if not closed.cancelled():
        closed.exception()


def refusal(url: str, status: int, body: bytes, headers: Mapping[str, str]) -> EngineError:
    """The error for a status that is no success."""
    said = message_of(body)
    if status in (400, 413, 422) and is_too_long(said):
        return ContextFull(f"{url}: {said}; shorten the prompt or lower max_tokens")
    if status in (401, 403):
        return RequestRefused(status, f"{url}: status {status}: {said}; give the server's key as option api_key")
    return RequestRefused(
        status, f"{url}: status {status}: {said}", again=status in _AGAIN, wait=retry_after(headers.get("Retry-After"))
    )


def message_of(body: bytes) -> str:
    """What a server says went wrong, in one line."""
    try:
        data: object = json.loads(body)
    except ValueError:
        data = body.decode("utf-8", "replace")
    for key in ("error", "message", "detail"):
        if isinstance(data, dict):
            data = cast("dict[str, object]", data).get(key, cast("object", data))
    return " ".join(str(data).split())[:300] or "no reason given"


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds from a Retry-After header, which is a number of seconds or a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def as_object(body: bytes) -> dict[str, Any]:
    """A body that is a JSON object. Raises StreamFault for anything else."""
    try:
        data: object = json.loads(body)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise StreamFault("foreign", f"the answer is not a JSON object: {body[:60].decode('utf-8', 'replace')!r}")
    return cast("dict[str, Any]", data)


def reason(error: BaseException) -> str:
    """A transport's error in a few words."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    words = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(words.split())[:120]
