"""An engine whose first answer is a block, written for it, and whose branches have the lengths that they are given.

Weights that were not trained open no block and end no branch, and the driver forks only what an engine generated. So
the block is written here, and evaluated by the server before the branches start, as if the server had said it;
everything behind it is the server's own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from apr_agents.clock import Clock
from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Chunk, Engine, EngineInfo, Finish, Message, Request, Usage


class OpeningEngine:
    """An open engine for one run. Its mutable state is whether the block was written."""

    def __init__(self, engine: Engine, plan: str, lengths: Sequence[int], conclusion: int) -> None:
        """`lengths`: tokens of each branch; `conclusion`: of what stands behind the join."""
        self._engine, self._plan = engine, plan
        self._lengths, self._conclusion = lengths, conclusion
        self._opened = False

    @property
    def info(self) -> EngineInfo:
        return replace(self._engine.info, dialects=("threadweaver",))

    @property
    def clock(self) -> Clock:
        return self._engine.clock

    def encode(self, text: str, *, control: bool) -> tuple[int, ...] | None:
        return self._engine.encode(text, control=control)

    def prompt(self, messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
        return self._engine.prompt(messages, variables)

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        if not request.max_tokens:
            return self._engine.stream(request)
        if not request.path.depth and not self._opened:
            self._opened = True
            return self._written(request)
        tokens = self._lengths[request.path.steps[0][1] - 1] if request.path.depth else self._conclusion
        return self._engine.stream(replace(request, max_tokens=tokens))

    @asynccontextmanager
    async def _written(self, request: Request) -> AsyncGenerator[AsyncIterator[Chunk]]:
        ids = self.encode(self._plan, control=True) or ()
        context = request.context.extend(Segment(self._plan, ids, Origin.generated))

        async def chunks() -> AsyncGenerator[Chunk]:
            async with self._engine.stream(replace(request, context=context, max_tokens=0)) as warming:
                async for chunk in warming:
                    if chunk.finish is not None:
                        usage = Usage(request.context.tokens, None, len(ids))
                        yield Chunk(self._plan, ids, Finish("stop", "</Outlines>", usage, chunk.finish.timings))

        yield chunks()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The engine that it asks is closed by whoever opened it."""
