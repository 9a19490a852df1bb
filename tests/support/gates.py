"""Engines that stop at an event, or count events: tests order what happens without sleeping."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

import anyio
import anyio.lowlevel

from apr_agents.dialects import Dialect
from apr_agents.engines.base import Chunk, Request
from apr_agents.engines.scripted import Reply, Script, ScriptedEngine


@dataclass(frozen=True, slots=True)
class Gate:
    """A place in a run: a branch's request, and how many of its chunks have come."""

    path: str
    request: int
    chunks: int


class GatedEngine(ScriptedEngine):
    """Goes no further than a gate: there it says that it was reached and waits for ever."""

    def __init__(self, script: Script, dialect: Dialect, gate: Gate) -> None:
        super().__init__(script, dialect)
        self._gate = gate
        self._asked: dict[str, int] = {}
        self.reached = anyio.Event()

    async def _chunks(self, request: Request, reply: Reply) -> AsyncGenerator[Chunk]:
        path, gate = str(request.path), self._gate
        self._asked[path] = self._asked.get(path, 0) + 1
        waits = path == gate.path and self._asked[path] == gate.request
        count = 0
        async for chunk in super()._chunks(request, reply):
            if waits and count == gate.chunks:
                self.reached.set()
                await anyio.sleep_forever()
            count += 1
            yield chunk


class CountingEngine(ScriptedEngine):
    """Gives every other task its turn at each chunk, and tells how many chunks it has said.

    Its mutable state is that count and `finished`: the branches whose last chunk it has said, closing tag included.
    """

    def __init__(self, script: Script, dialect: Dialect, said: Callable[[int], None], chunk_tokens: int) -> None:
        super().__init__(script, dialect, chunk_tokens=chunk_tokens)
        self._said = said
        self._count = 0
        self.finished: list[str] = []

    async def _chunks(self, request: Request, reply: Reply) -> AsyncGenerator[Chunk]:
        async for chunk in super()._chunks(request, reply):
            self._count += 1
            self._said(self._count)
            await anyio.lowlevel.checkpoint()
            if chunk.finish is not None and chunk.finish.matched == "</Thread>":
                self.finished.append(str(request.path))
            yield chunk
