"""Fork and join as the published clients do it: text goes from phase to phase, and is encoded again at each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Chunk, EngineInfo, Request
from tests.support.relay import Relay


class ReencodingEngine(Relay):
    """An open engine whose every request is encoded again from the whole text so far; all else is as it was.

    ThreadWeaver's released HTTP client does that: it reads each answer as text, puts headers and texts together, and
    sends the ids of the result (arXiv 2512.07843; written here from that description).
    """

    @property
    def info(self) -> EngineInfo:
        return replace(self._engine.info, ahead=False)

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        text = request.context.text
        again = Segment(text, self._engine.encode(text, control=True), Origin.client)
        return self._engine.stream(replace(request, context=Context.of(again)))
