"""Tokens to text as they come: whole characters only, and the stop strings that end in them. Pure."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class Detokenizer:
    """Bytes in, text out; the bytes of a character that is not yet whole are held back."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, piece: bytes) -> str:
        """The text that this piece completes; what can never become UTF-8 is U+FFFD."""
        return self._decoder.decode(piece)

    def end(self) -> str:
        """What is left: U+FFFD for a character that was cut off, usually nothing."""
        return self._decoder.decode(b"", final=True)


class StopMatcher:
    """Looks for stop strings in a stream of pieces, also where one is spread over several."""

    def __init__(self, stops: Sequence[str]) -> None:
        # Longest first: of stops that end at the same byte, the longest is the one that was meant.
        self._stops = sorted(((stop.encode(), stop) for stop in stops if stop), key=lambda stop: -len(stop[0]))
        self._keep = max((len(data) for data, _ in self._stops), default=1) - 1
        self._tail = b""

    def feed(self, piece: bytes) -> str | None:
        """The stop that ends first in this piece; None when none does."""
        if not self._stops:
            return None
        seen = self._tail + piece
        ends = [
            (end, stop) for data, stop in self._stops if (end := _first_end(seen, data, len(self._tail))) is not None
        ]
        self._tail = seen[-self._keep :] if self._keep else b""
        return min(ends, key=lambda found: found[0])[1] if ends else None


def _first_end(seen: bytes, stop: bytes, after: int) -> int | None:
    """Where the first occurrence of `stop` ends that ends after `after` bytes."""
    start = seen.find(stop, max(0, after - len(stop) + 1))
    return None if start < 0 else start + len(stop)
