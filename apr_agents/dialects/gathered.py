"""Text put together from pieces."""

from __future__ import annotations

_PIECE = 1024


class Gathered:
    """Pieces of a text; many tiny ones cost no more than the text that they make."""

    def __init__(self) -> None:
        self.length = 0
        self._joined: list[str] = []
        self._fresh: list[str] = []
        self._fresh_length = 0

    def add(self, piece: str) -> None:
        self.length += len(piece)
        self._fresh.append(piece)
        self._fresh_length += len(piece)
        if self._fresh_length >= _PIECE:
            self._joined.append("".join(self._fresh))
            self._fresh.clear()
            self._fresh_length = 0

    @property
    def text(self) -> str:
        return "".join((*self._joined, *self._fresh))
