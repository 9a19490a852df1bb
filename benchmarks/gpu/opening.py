"""An engine whose first answer is a block, written for it, and whose branches have the lengths that they are given.

Weights that were not trained open no block and end no branch, and the driver forks only what an engine generated. So
the block is written here, and evaluated by the server before the branches start, as if the server had said it;
everything behind it is the server's own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from apr_agents.context import Origin, Segment
from apr_agents.engines.base import Chunk, Engine, EngineInfo, Finish, Request, Usage
from tests.support.relay import Relay


class OpeningEngine(Relay):
    """An open engine for one run. Its mutable state is whether the block was written."""

    def __init__(self, engine: Engine, plan: str, lengths: Sequence[int], conclusion: int) -> None:
        """`lengths`: tokens of each branch; `conclusion`: of what stands behind the join."""
        super().__init__(engine)
        self._plan, self._opened = plan, False
        self._lengths, self._conclusion = lengths, conclusion

    @property
    def info(self) -> EngineInfo:
        return replace(self._engine.info, dialects=("threadweaver",))

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
