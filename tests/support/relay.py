"""An engine that stands before another one: what it does otherwise is said by whoever inherits from it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from apr_agents.clock import Clock
from apr_agents.context import Context
from apr_agents.engines.base import Chunk, Engine, EngineInfo, Message, Request


class Relay:
    """Hands everything on to an open engine, which is closed by whoever opened it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    @property
    def clock(self) -> Clock:
        return self._engine.clock

    def encode(self, text: str, *, control: bool) -> tuple[int, ...] | None:
        return self._engine.encode(text, control=control)

    def prompt(self, messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
        return self._engine.prompt(messages, variables)

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        return self._engine.stream(request)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
