"""One request on its way through LiteLLM: what goes out for it, and what comes back beside LiteLLM.

LiteLLM is asked for a plain answer. Until the first token comes it may do as it is set up to: retry, cool down, fall
back. From then on the answer is read here and nowhere else, and the request is never sent again.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import anyio

from apr_agents.engines.base import Chunk, Engine, Request
from apr_agents.errors import EngineError

HEADER = "x-apr-call"
"""Carries a call's id through LiteLLM to what sends it; it never leaves this process."""
_AHEAD = 256
"""Chunks that may lie here unread; then the server has to wait."""
_GRACE = 0.1
"""Seconds for LiteLLM to book a fault before it is raised here."""

Words = Callable[[Exception], EngineError]


class Call:
    """Its mutable state is what has come of the answer, and what went wrong last."""

    def __init__(self, request: Request, natives: Mapping[str, Engine], words: Words) -> None:
        """`natives`: by address, what serves it at a deployment of our own provider. `words`: puts an error of
        LiteLLM's own into ours."""
        self._words = words
        self.natives = natives
        self.id = secrets.token_hex(16)
        self.request = request
        self.at = ""
        """The address that it went to last."""
        self.sent = 0
        """How often it went out: more than once where LiteLLM moved it before anything came."""
        self.begun = False
        """Whether anything was generated for it."""
        self.text = ""
        self.last: Chunk | None = None
        """The chunk with the finish; it is given once LiteLLM has taken note of the whole answer."""
        self.error: EngineError | None = None
        """What went wrong in sending it, last."""
        self.done = anyio.Event()
        self._send, self.chunks = anyio.create_memory_object_stream[Chunk](_AHEAD)

    def start(self, address: str) -> None:
        """It goes out to this address. Raises EngineError when an answer has begun: text is never generated twice."""
        if self.begun:
            raise self.error or EngineError("an answer has begun, and the request is not sent again")
        self.at, self.error = address, None
        self.sent += 1

    async def put(self, chunk: Chunk) -> None:
        """Some of the answer."""
        self.begun = True
        self.text += chunk.text
        if chunk.finish is not None:
            self.last = chunk
        else:
            await self._send.send(chunk)

    def fail(self, error: EngineError) -> None:
        """It went wrong; for good where anything was generated."""
        self.error = error
        if self.begun:
            self._send.close()

    async def carry(self, ask: Callable[[], Awaitable[object]]) -> None:
        """Have LiteLLM carry it. What goes wrong is kept, not raised."""
        try:
            await ask()
            if self.last is not None:
                self.error = None
            elif self.error is None:
                self.error = EngineError("LiteLLM sent it by another client than ours, whose answer cannot be trusted")
        except EngineError as error:
            self.error = error
        except Exception as error:  # LiteLLM raises whatever its providers and callbacks do
            self.error = self.error or self._words(error)
        finally:
            self.done.set()
            self._send.close()

    async def settle(self) -> Chunk:
        """The last chunk, once LiteLLM is done with the call. Raises EngineError for an answer that is not whole."""
        with anyio.move_on_after(None if self.error is None else _GRACE):
            await self.done.wait()
        if self.error is not None or self.last is None:
            raise self.error or EngineError("the answer has no end")
        return self.last

    def close(self) -> None:
        self._send.close()
        self.chunks.close()


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls that are under way, by id."""

    under_way: dict[str, Call]

    def find(self, name: str | None) -> Call | None:
        return self.under_way.get(name or "")

    @contextmanager
    def open(self, request: Request, natives: Mapping[str, Engine], words: Words) -> Generator[Call]:
        call = Call(request, natives, words)
        self.under_way[call.id] = call
        try:
            yield call
        finally:
            del self.under_way[call.id]
            call.close()


@asynccontextmanager
async def carried(call: Call, ask: Callable[[], Awaitable[object]]) -> AsyncGenerator[None]:
    """LiteLLM carries the call beside this block; leaving the block cancels it, and with it the request."""
    raised: Exception | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(call.carry, ask)
        try:
            yield
        except Exception as error:  # carried out of the group as itself, not inside an ExceptionGroup
            raised = error
        group.cancel_scope.cancel()
    if raised is not None:
        raise raised
