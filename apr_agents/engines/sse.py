"""Server-sent events from bytes, strictly and in time linear in them, however they are cut.

Source: WHATWG HTML, section 9.2.6. Stricter: a line that is no field of the standard is a fault, since nothing but a
foreign answer has one; and only the data of an event is given.
"""

from __future__ import annotations

from apr_agents.errors import StreamFault

MAX_EVENT = 64 * 1024 * 1024
"""Bytes of one line: more is no answer of a model."""
_FIELDS = (b"event", b"id", b"retry")


class EventReader:
    """The data of each event, as its bytes become complete.

    Its mutable state is the line and the event that have begun. An event without the blank line behind it never comes
    out, as the standard has it: it was cut.
    """

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._size = 0
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that these bytes complete. Raises StreamFault for what is no event stream."""
        lines = piece.count(b"\n")
        if lines == 2 and piece.startswith(b"data: ") and piece.endswith(b"\n\n") and not (self._size or self._data):
            return [piece[6:-2].removesuffix(b"\r")]  # one event, as most pieces are
        if not lines:
            self._keep(piece)
            return []
        first, *others = piece.split(b"\n")
        self._keep(first)
        lines = [b"".join(self._line), *others]
        self._line, self._size = [], 0
        self._keep(lines.pop())
        return [data for line in lines if (data := self._take(line)) is not None]

    def _keep(self, piece: bytes) -> None:
        self._line.append(piece)
        self._size += len(piece)
        if self._size > MAX_EVENT:
            raise StreamFault("malformed", f"a line of the stream has more than {MAX_EVENT} bytes")

    def _take(self, line: bytes) -> bytes | None:
        """One whole line; the event's data when it is the blank line behind one."""
        line = line.removesuffix(b"\r")
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif not line:
            data, self._data = self._data, []
            return b"\n".join(data) if data else None
        elif not line.startswith(b":") and line.partition(b":")[0] not in _FIELDS:
            raise StreamFault(
                "malformed", f"a line of the stream is no event: {line[:60].decode('utf-8', 'replace')!r}"
            )
        return None
