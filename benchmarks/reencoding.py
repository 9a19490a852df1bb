"""Fork and join as the published clients do it: text goes from phase to phase, and is encoded again at each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from types import TracebackType
from typing import Self

from apr_agents.clock import Clock
from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Chunk, Engine, EngineInfo, Message, Request


class ReencodingEngine:
    """An open engine whose every request is encoded again from the whole text so far; all else is as it was.

    ThreadWeaver's released HTTP client does that: it reads each answer as text, puts headers and texts together, and
    sends the ids of the result (arXiv 2512.07843; written here from that description).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def info(self) -> EngineInfo:
        return replace(self._engine.info, ahead=False)

    @property
    def clock(self) -> Clock:
        return self._engine.clock

    def encode(self, text: str, *, control: bool) -> tuple[int, ...] | None:
        return self._engine.encode(text, control=control)

    def prompt(self, messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
        return self._engine.prompt(messages, variables)

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        text = request.context.text
        again = Segment(text, self._engine.encode(text, control=True), Origin.client)
        return self._engine.stream(replace(request, context=Context.of(again)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The engine that it asks is closed by whoever opened it."""
