"""A raw HTTP/1.1 server on loopback: it counts, records, sees clients leave, and can break off anywhere."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import anyio
import anyio.lowlevel

Framing = Literal["chunked", "close"]
"""How the end of a body is told: by an empty chunk, or by closing the connection."""

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests", 500: "Internal Server Error"}
"""What the status line says; any other status goes without."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


class Exchange:
    """One request and the answer to it. Its mutable state is how far the answer has come."""

    def __init__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.asked = asked
        self.begun = False
        """Whether anything of the answer was sent."""
        self.done = False
        """Whether the answer has come to its end, as planned here, be it a good one or not."""
        self.closed = False
        """Whether the connection was closed from here."""
        self._writer = writer
        self._framing: Framing = "chunked"

    async def respond(
        self, status: int, body: bytes | object = b"", headers: Mapping[str, str] | None = None, kind: str = ""
    ) -> None:
        """A whole answer with its length; what is not bytes goes as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        kind = kind or ("" if isinstance(body, bytes) else "application/json")
        length = {"content-length": str(len(data))}
        await self._head(status, {**({"content-type": kind} if kind else {}), **length, **(headers or {})})
        self.done = True
        await self.raw(data)

    async def start(self, status: int, headers: Mapping[str, str], framing: Framing = "chunked") -> None:
        """The head of an answer whose body follows in pieces."""
        self._framing = framing
        told = {"transfer-encoding": "chunked"} if framing == "chunked" else {"connection": "close"}
        await self._head(status, {**headers, **told})

    async def send(self, data: bytes) -> None:
        """A piece of the body."""
        if data:
            await self.raw(b"%x\r\n%s\r\n" % (len(data), data) if self._framing == "chunked" else data)

    async def end(self) -> None:
        """The end of the body, as its framing tells it."""
        if self._framing == "chunked":
            self.done = True
            await self.raw(b"0\r\n\r\n")
        else:
            self.close()

    async def raw(self, data: bytes) -> None:
        """These bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()
        await anyio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close the connection, what was written before being sent: FIN."""
        self.done = self.closed = True
        self._writer.close()

    def reset(self) -> None:
        """Break the connection: RST."""
        self.done = self.closed = True
        held: socket.socket = self._writer.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.begun = True
        lines = [
            f"HTTP/1.1 {status} {REASONS.get(status, '')}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        await self.raw("\r\n".join([*lines, "", ""]).encode())


Handler = Callable[[Exchange], Awaitable[None]]


class HttpServer:
    """Answers requests by a handler, and keeps an account of them.

    Its mutable state is that account. What a handler raises is raised again when the server is closed.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._errors: list[Exception] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.url = ""
        self.asked: list[Asked] = []
        """Every request, in the order of arrival."""
        self.connections = 0
        """Open ones."""
        self.left = 0
        """How many requests were left by their client before the answer's end."""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side closes it."""
        task = asyncio.current_task()
        assert task is not None
        assert isinstance(reader, _Reader)
        self._tasks.add(task)
        self.connections += 1
        try:
            while (asked := await _read(reader)) is not None:
                self.asked.append(asked)
                if not await self._serve(Exchange(asked, writer), reader):
                    break
        except (OSError, asyncio.CancelledError):
            pass  # the client broke the connection, or the server is closed
        finally:
            self.connections -= 1
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, exchange: Exchange, reader: _Reader) -> bool:
        """Answer one request; whether the connection may have another."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._leave, reader, group.cancel_scope)
            await self._handle(exchange)
            group.cancel_scope.cancel()
        self.left += not exchange.done
        return exchange.done and not exchange.closed

    async def _handle(self, exchange: Exchange) -> None:
        try:
            await self._handler(exchange)
        except OSError:
            pass  # the client is gone
        except Exception as error:
            self._errors.append(error)
            exchange.reset()

    async def _leave(self, reader: _Reader, scope: anyio.CancelScope) -> None:
        """Stop answering when the client goes."""
        await reader.gone.wait()
        scope.cancel()

    async def close(self, listening: asyncio.Server) -> None:
        """Listen no more, end what is being answered, and raise what a handler raised."""
        listening.close()
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await listening.wait_closed()
        if self._errors:
            raise self._errors[0]


class _Reader(asyncio.StreamReader):
    """Says when the client is gone, also while nobody reads."""

    def __init__(self) -> None:
        super().__init__(limit=2**20)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: BaseException) -> None:  # type: ignore[override]
        super().set_exception(exc)  # type: ignore[arg-type]
        self.gone.set()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    """The next request of a connection; None at its end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    if headers.get("transfer-encoding") == "chunked":
        body = await _chunks(reader)
    return Asked(method, path, headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while length := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(length))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


@asynccontextmanager
async def serve(server: HttpServer) -> AsyncGenerator[HttpServer]:
    """This server, listening on a free port of 127.0.0.1 inside the block."""
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        lambda: asyncio.StreamReaderProtocol(_Reader(), server.connected), "127.0.0.1", 0
    )
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        await server.close(listening)
