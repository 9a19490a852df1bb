"""Ask an engine, and keep what it said."""

from __future__ import annotations

from dataclasses import dataclass, replace

import anyio

from apr_agents.context import Context, Origin, Segment, ids_of
from apr_agents.engines.base import Chunk, Engine, Finish, Request


@dataclass(frozen=True, slots=True)
class Answer:
    chunks: tuple[Chunk, ...]
    context: Context
    """The request's context, and the answer behind it."""

    @property
    def segment(self) -> Segment:
        """The answer alone; without ids where the engine speaks text only."""
        return self.context.segment

    @property
    def text(self) -> str:
        return self.segment.text

    @property
    def ids(self) -> tuple[int, ...]:
        """For engines that have them."""
        return ids_of((self.segment,))

    @property
    def finish(self) -> Finish:
        """Of the last chunk, and of no other."""
        finish = self.chunks[-1].finish
        assert finish is not None
        assert all(chunk.finish is None for chunk in self.chunks[:-1])
        return finish


async def ask(engine: Engine, request: Request) -> Answer:
    """Read to the end of the stream, and not only to its finish."""
    async with engine.stream(request) as stream:
        chunks = tuple([chunk async for chunk in stream])
    text = "".join(chunk.text for chunk in chunks)
    ids = tuple(token for chunk in chunks for token in chunk.ids or ())
    exact = all(chunk.ids is not None for chunk in chunks)
    return Answer(chunks, request.context.extend(Segment(text, ids if exact else None, Origin.generated)))


async def ask_all(engine: Engine, requests: list[Request]) -> list[Answer]:
    """All at once; answers in the order of the requests."""
    answers: dict[int, Answer] = {}

    async def one(number: int, request: Request) -> None:
        answers[number] = await ask(engine, request)

    async with anyio.create_task_group() as group:
        for number, request in enumerate(requests):
            group.start_soon(one, number, request)
    return [answers[number] for number in range(len(requests))]


def plain(engine: Engine, text: str) -> Context:
    """A prompt of this text alone."""
    return Context.of(Segment(text, engine.encode(text, control=False), Origin.client))


def header(engine: Engine, parent: Context, text: str) -> Context:
    return parent.extend(Segment(text, engine.encode(text, control=True), Origin.header))


def rebuilt(request: Request) -> Request:
    """The same request with a context that shares no link with any other."""
    context = request.context
    return replace(request, context=Context.of(Segment(context.text, context.ids, Origin.client)))
