"""A request in stretches: each ends with the outline of a call, which may start there, and the last with the request.

The request itself goes on while whoever reads its stretches keeps one and starts a call.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from apr_agents.context import Segment
from apr_agents.events import Fork, Outline
from apr_agents.runner.journal import Piece, digest_of
from apr_agents.runner.spawner import errands
from apr_agents.runner.walk import Walk
from apr_agents.trace import Kind, Span


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of decoding, and what was planned at its end."""

    piece: Piece
    opened: int
    """How many blocks the walk's text had opened."""
    outlines: tuple[Outline, ...]
    """Those that are complete, of the last of these blocks."""


def stretch_of(walk: Walk, piece: Piece) -> Stretch:
    """This piece, which is the last of the walk's text so far."""
    return Stretch(piece, walk.planning.opened, tuple(walk.planning.outlined))


def plan_of(walk: Walk, *, whole: bool) -> Fork | None:
    """What the walk's text has planned: the block that it opened, or the outlines that it has so far."""
    return walk.planning.fork if whole else Fork(tuple(walk.planning.outlined), 0)


class Stretches:
    """One request of a walk. Its mutable state is how far it was told, what came behind that, and whether it was sent
    at all: a run that is resumed behind it asks for nothing."""

    def __init__(self, walk: Walk, kind: Kind, group: TaskGroup) -> None:
        self._walk = walk
        self._kind: Kind = kind
        self._group = group
        self._sent = False
        self._mark = (0, 0)
        self._rest: Segment | None = None
        self._head: Span | None = None
        self._send, self._receive = anyio.create_memory_object_stream[Stretch | Exception](math.inf)

    async def next(self) -> Stretch:
        """The next stretch; it has a finish if it is the last. Raises what the request raised."""
        if not self._sent:
            self._sent = True
            self._mark = self._walk.recorder.mark()
            self._group.start_soon(self._run)
        told = await self._receive.receive()
        if isinstance(told, Exception):
            raise told
        return told

    def cut(self, segment: Segment | None) -> None:
        """A stretch ends here; its spans are closed."""
        walk = self._walk
        piece = Piece(segment, None, *walk.recorder.since(self._mark), digest_of(plan_of(walk, whole=False)))
        self._mark = walk.recorder.mark()
        self._send.send_nowait(stretch_of(walk, piece))

    def end(self, rest: Segment | None, head: Span | None) -> None:
        """The request ended, with this text behind what was told; `head` is its first span, where there are others."""
        self._rest, self._head = rest, head

    def close(self) -> None:
        self._send.close()
        self._receive.close()

    async def _run(self) -> None:
        walk = self._walk
        walk.planning.stretches = self
        try:
            finish = await walk.decode(self._kind)
        except Exception as error:  # raised by `next`, in the task that asked for the request
            self._send.send_nowait(error)
            return
        finally:
            walk.planning.stretches = None
        plan = digest_of(plan_of(walk, whole=True))
        piece = Piece(self._rest, finish, *walk.recorder.since(self._mark), plan, self._head)
        self._send.send_nowait(stretch_of(walk, piece))


@asynccontextmanager
async def stretches(walk: Walk, kind: Kind) -> AsyncGenerator[Stretches]:
    """The walk's next request; leaving the block cancels what is left of it."""
    request: Stretches | None = None
    try:
        async with errands() as group:
            request = Stretches(walk, kind, group)
            yield request
    finally:
        if request is not None:
            request.close()
