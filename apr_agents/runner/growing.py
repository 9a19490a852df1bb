"""The text of one request while it grows."""

from __future__ import annotations

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Chunk


class Growing:
    """The text of a request in flight; its mutable state is the chunks so far."""

    def __init__(self, start: Context) -> None:
        self._start = start
        self._texts: list[str] = []
        self._ids: list[int] | None = []
        self.count = 0
        """Tokens so far; on engines that speak text only, chunks with text."""

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def add(self, chunk: Chunk) -> None:
        self._texts.append(chunk.text)
        if chunk.ids is None:
            self._ids = None
        elif self._ids is not None:
            self._ids.extend(chunk.ids)
        self.count += bool(chunk.text) if chunk.ids is None else len(chunk.ids)

    def context(self) -> Context:
        """The context behind this text."""
        if not self.count:
            return self._start
        ids = None if self._ids is None else tuple(self._ids)
        return self._start.extend(Segment(self.text, ids, Origin.generated))
