"""From the scheduler's thread to the event loop: one mailbox per request, one call into the loop per step."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import anyio

from apr_agents.engines.base import Chunk
from apr_agents.errors import EngineError

Letter = Chunk | EngineError


class Mailbox:
    """The chunks of one request, as an async iterator that raises the error that ended it. Lives on the loop.

    It is unbounded, since a request's `max_tokens` bounds it.
    """

    def __init__(self) -> None:
        self._letters: deque[Letter] = deque()
        self._arrival = anyio.Event()
        self._ended = False

    def put(self, letter: Letter) -> None:
        self._letters.append(letter)
        self._arrival.set()

    def __aiter__(self) -> Mailbox:
        return self

    async def __anext__(self) -> Chunk:
        if self._ended:
            raise StopAsyncIteration
        while not self._letters:
            self._arrival = anyio.Event()
            await self._arrival.wait()
        letter = self._letters.popleft()
        if isinstance(letter, EngineError):
            self._ended = True
            raise letter
        self._ended = letter.finish is not None
        return letter


class Handover:
    """The way from another thread to the event loop that was running when it was made. It never waits for the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def call(self, function: Callable[[], None]) -> None:
        """From the thread: let the loop call this soon."""
        self._loop.call_soon_threadsafe(function)

    def post(self, letters: Sequence[tuple[Mailbox, Letter]]) -> None:
        """From the thread: let the loop deliver these soon, in order."""
        self._loop.call_soon_threadsafe(_deliver, letters)


def _deliver(letters: Sequence[tuple[Mailbox, Letter]]) -> None:
    for mailbox, letter in letters:
        mailbox.put(letter)
