"""The text of one request while it grows, and what an engine may not do with it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Chunk, Finish, Request
from apr_agents.errors import EngineError


class Growing:
    """The text of a request in flight; its mutable state is the chunks so far and the stop that they reached."""

    def __init__(self, request: Request, tags: Collection[str]) -> None:
        self._request = request
        self._tags = tags
        self._texts: list[str] = []
        self._ids: list[int] | None = []
        self._longest = max(map(len, request.stops), default=1)
        self._tail = ""
        self.stop: str | None = None
        """The stop that the text has reached; what follows is at most the rest of the token in which it ended."""
        self.finish: Finish | None = None
        """How it ended, by the stop that is in the text: an engine may not see it in its last token."""
        self.count = 0
        """Tokens so far; on engines that speak text only, chunks with text."""

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def add(self, chunk: Chunk) -> None:
        """Take a chunk, which is kept in any case. Raises EngineError where the engine went on past its bounds."""
        stopped = self.stop
        self._texts.append(chunk.text)
        if chunk.ids is None:
            self._ids = None
        elif self._ids is not None:
            self._ids.extend(chunk.ids)
        self.count += bool(chunk.text) if chunk.ids is None else len(chunk.ids)
        behind = chunk.text if stopped else self._find_stop(chunk.text)
        if behind and (stopped or any(tag in behind for tag in self._tags)):
            raise EngineError(f"the engine went on behind the stop {self.stop!r}", self.text)
        if chunk.ids is not None and self.count > self._request.max_tokens:
            raise EngineError(f"the engine went on past the {self._request.max_tokens} tokens it was given", self.text)
        if chunk.finish is not None:
            self.finish = self._stopped(chunk.finish)

    def context(self) -> Context:
        """The context behind this text."""
        if not self.count:
            return self._request.context
        ids = None if self._ids is None else tuple(self._ids)
        return self._request.context.extend(Segment(self.text, ids, Origin.generated))

    def _stopped(self, finish: Finish) -> Finish:
        if finish.matched is not None and finish.matched != self.stop:
            raise EngineError(f"the engine stopped at {finish.matched!r}, which its text does not hold", self.text)
        if self.stop is None or (finish.reason, finish.matched) == ("stop", self.stop):
            return finish
        return replace(finish, reason="stop", matched=self.stop)

    def _find_stop(self, new: str) -> str:
        """Look for the first stop that this text completes, and give what stands behind it."""
        text = self._tail + new
        hits = [(text.index(stop), stop) for stop in self._request.stops if stop in text]
        self._tail = text[-self._longest :]
        if not hits:
            return ""
        at, self.stop = min(hits)
        return text[at + len(self.stop) :]
