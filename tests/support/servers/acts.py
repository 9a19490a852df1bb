"""What a server does on the wire, one act after another. An answer is a list of them, and so is every fault."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import anyio

from tests.support.servers.http import Exchange, Framing

Json: TypeAlias = dict[str, Any]

EVENTS = {"content-type": "text/event-stream; charset=utf-8"}
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer with its length."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers of an answer in pieces."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: EVENTS)
    framing: Framing = "chunked"


@dataclass(frozen=True, slots=True)
class Send:
    """A piece of the body; behind `Whole`, never."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes outside all framing."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """Do nothing until the client leaves."""


@dataclass(frozen=True, slots=True)
class Until:
    """Do nothing until this is set: what comes next is known to come after something in the test."""

    event: anyio.Event


@dataclass(frozen=True, slots=True)
class End:
    """The proper end of a body in pieces."""


@dataclass(frozen=True, slots=True)
class Close:
    """FIN, whatever was promised."""


@dataclass(frozen=True, slots=True)
class Reset:
    """RST."""


Act: TypeAlias = Whole | Head | Send | Raw | Pause | Hang | Until | End | Close | Reset


async def play(exchange: Exchange, act: Act) -> None:  # noqa: C901  # a line for each act
    match act:
        case Whole(status, body, headers):
            await exchange.respond(status, body, headers)
        case Head(status, headers, framing):
            await exchange.start(status, headers, framing)
        case Send(data):
            await exchange.send(data)
        case Raw(data):
            await exchange.raw(data)
        case Pause(seconds):
            await anyio.sleep(seconds)
        case Until(event):
            await event.wait()
        case Hang():
            await anyio.sleep_forever()
        case End():
            await exchange.end()
        case Close():
            exchange.close()
        case Reset():
            exchange.reset()


class Wire(Protocol):
    """How one protocol writes what a fault changes; payloads are the JSON of its events."""

    def text(self, payload: Json, text: str) -> Json:
        """An event like this one that brings this much more text, and no finish."""
        ...

    def finish(self, payload: Json, reason: str) -> Json:
        """This event with another reason to finish."""
        ...

    def finished(self, payload: Json) -> bool:
        """Whether this event has a reason to finish."""
        ...

    def error(self, message: str) -> Json:
        """An event, or a body, that says what went wrong in the middle of an answer."""
        ...

    def said(self, payloads: Sequence[Json]) -> str:
        """The text that these bring."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server would say if nothing went wrong; faults are functions of it."""

    wire: Wire
    streamed: bool
    payloads: tuple[Json, ...]
    """The events of a stream; the one body of a plain answer."""

    @property
    def frames(self) -> list[bytes]:
        """Each payload as it is sent."""
        return [framed(payload) if self.streamed else dumped(payload) for payload in self.payloads]

    @property
    def finish(self) -> int:
        """The place of the payload with the finish."""
        return next(place for place, payload in enumerate(self.payloads) if self.wire.finished(payload))

    def acts(self, frames: Sequence[bytes] | None = None) -> list[Act]:
        """The whole answer, with these frames in place of its own."""
        frames = self.frames if frames is None else frames
        if not self.streamed:
            return [Whole(200, b"".join(frames))]
        return [Head(), *map(Send, frames), Send(DONE), End()]


def dumped(payload: Json) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def framed(payload: Json) -> bytes:
    """One event of a stream."""
    return b"data: %s\n\n" % dumped(payload)
