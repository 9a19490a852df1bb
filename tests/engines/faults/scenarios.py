"""What servers do wrong, and what must come out of it: data for every transport.

A scenario is a function of the healthy answer, so that one table serves every wire.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from apr_agents.errors import ContextFull, EngineError, RequestRefused, StreamFault
from tests.support.servers.acts import (
    DONE,
    EVENTS,
    Act,
    Answer,
    Close,
    End,
    Hang,
    Head,
    Json,
    Pause,
    Raw,
    Reset,
    Send,
    Whole,
    dumped,
    framed,
)

PAGE = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"
HTML = {"content-type": "text/html; charset=utf-8"}
TOO_LONG = (
    "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 4130 "
    "tokens: 4090 tokens from the input messages and 40 tokens for the completion. Please reduce the number of tokens "
    "in the input messages or the completion to fit within the limit."
)


@dataclass(frozen=True, slots=True)
class Broken:
    """The error that must come out."""

    kind: type[EngineError] = StreamFault
    faults: tuple[str, ...] = ()
    """Of a StreamFault, which of its faults may be named: what a client sees first is not always the same."""
    status: int | None = None
    """Of a RequestRefused."""
    again: bool | None = False
    """Whether the request may be sent once more; None: it can be seen either way."""
    wait: float | None = None
    says: str = ""
    """What the message must hold."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """`name`: what the server does. `does`: how. `out`: None for an answer that is whole all the same."""

    name: str
    does: Callable[[Answer], Sequence[Act]]
    out: Broken | None


CUT = Broken(faults=("cut",))
CUT_AT_ONCE = Broken(faults=("cut",), again=True)
"""Nothing had come: the request may be sent once more."""
ABORTED = Broken(faults=("aborted",))
MALFORMED = Broken(faults=("malformed",))
FOREIGN = Broken(faults=("foreign",))
LATE = Broken(faults=("late",))
TIMEOUT = Broken(faults=("timeout",))


def streamed(answer: Answer, *then: Act, frames: int | None = None, head: Head = Head()) -> list[Act]:
    """The first frames of a stream (half of them, if not said), and then these acts."""
    count = len(answer.frames) // 2 if frames is None else frames
    return [head, *map(Send, answer.frames[:count]), *then]


def to_finish(answer: Answer, *then: Act, head: Head = Head()) -> list[Act]:
    """A stream through its finish, without the end marker, and then these acts."""
    return streamed(answer, *then, frames=answer.finish + 1, head=head)


def middle(answer: Answer) -> Json:
    """An event without a finish, from the middle of a stream."""
    return answer.payloads[len(answer.payloads) // 2 - 1]


def half(frame: bytes) -> bytes:
    return frame[: len(frame) // 2]


def broken_frame(answer: Answer, frame: bytes) -> list[Act]:
    """A stream with this in its middle, which goes on to its proper end."""
    count = len(answer.frames) // 2
    frames = [*answer.frames[:count], frame, *answer.frames[count:]]
    return answer.acts(frames)


def instead(answer: Answer, payload: Json) -> list[Act]:
    """A stream whose finish is this event, and which ends there."""
    return [*streamed(answer, frames=answer.finish), Send(framed(payload)), Send(DONE), End()]


def bytewise(answer: Answer) -> list[Act]:
    """Every byte of the last events by itself."""
    *others, one, two = answer.frames
    body = one + two + DONE
    return [Head(), Send(b"".join(others)), *(Send(bytes((byte,))) for byte in body), End()]


def split_characters(answer: Answer) -> list[Act]:
    """The body cut inside each character of several bytes."""
    body = b"".join([*answer.frames, DONE])
    cuts = [place for place, byte in enumerate(body) if 0x80 <= byte < 0xC0]
    return [Head(), *(Send(body[start:end]) for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)), End()]


def with_comments(answer: Answer) -> list[Act]:
    """Keep-alive comments and empty lines between events."""
    frames = [b": ping\n\n" + frame + b"\n:\n" for frame in answer.frames]
    return answer.acts(frames)


def with_carriage_returns(answer: Answer) -> list[Act]:
    frames = [frame.replace(b"\n", b"\r\n") for frame in answer.frames]
    return [Head(), *map(Send, frames), Send(DONE.replace(b"\n", b"\r\n")), End()]


def in_one_piece(answer: Answer) -> list[Act]:
    return [Head(), Send(b"".join([*answer.frames, DONE])), End()]


def refuse(status: int, message: str = "try later", **headers: str) -> Callable[[Answer], list[Act]]:
    """A status that is no success, with a JSON reason."""
    told = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return lambda answer: [Whole(status, dumped({"error": {"message": message}}), told)]


def drip(answer: Answer) -> list[Act]:
    """Comments, one every hundredth of a second, for ever: each read is quick."""
    return [Head(), *[act for _ in range(3000) for act in (Pause(0.01), Send(b": ping\n\n"))], Hang()]


def drip_bytes(answer: Answer) -> list[Act]:
    """An event that comes byte by byte, and would take minutes."""
    frame = answer.frames[0]
    body = (frame[place : place + 1] for place in range(len(frame)))
    return [Head(), *[act for byte in body for act in (Pause(0.2), Send(byte))], Hang()]


def refused(status: int, *, again: bool, wait: float | None = None, says: str = "try later") -> Broken:
    return Broken(RequestRefused, status=status, again=again, wait=wait, says=says)


REFUSALS = (
    Scenario("429 without Retry-After", refuse(429), refused(429, again=True)),
    Scenario("429 with Retry-After", refuse(429, retry_after="1"), refused(429, again=True, wait=1.0)),
    Scenario("429 with Retry-After of an hour", refuse(429, retry_after="3600"), refused(429, again=True, wait=3600.0)),
    Scenario("500", refuse(500), refused(500, again=True)),
    Scenario("502 with a proxy's page", lambda a: [Whole(502, PAGE, HTML)], refused(502, again=True, says="")),
    Scenario("503", refuse(503), refused(503, again=True)),
    Scenario("503 with Retry-After", refuse(503, retry_after="2"), refused(503, again=True, wait=2.0)),
    Scenario("400 for a context too long", refuse(400, TOO_LONG), Broken(ContextFull, says="4096")),
    Scenario("400 for a parameter", refuse(400, "no such grammar"), refused(400, again=False, says="no such grammar")),
    Scenario("401", refuse(401, "no key"), refused(401, again=False, says="api_key")),
    Scenario("404 for a wrong model", refuse(404, "no model x"), refused(404, again=False, says="no model x")),
)
"""For streams and plain answers alike."""

BEFORE = (
    Scenario("FIN before the headers", lambda a: [Close()], CUT_AT_ONCE),
    Scenario("RST before the headers", lambda a: [Reset()], CUT_AT_ONCE),
    Scenario("FIN inside the headers", lambda a: [Raw(b"HTTP/1.1 200 OK\r\ncontent-ty"), Close()], CUT_AT_ONCE),
    Scenario(
        "no HTTP at all",
        lambda a: [Raw(b"SSH-2.0-OpenSSH_9.6\r\n"), Close()],
        Broken(faults=("cut", "foreign"), again=None),
    ),
)
"""The connection breaks before an answer: for streams and plain answers alike."""

CUTS = (
    Scenario("FIN behind the headers", lambda a: streamed(a, Close(), frames=0), CUT_AT_ONCE),
    Scenario("RST behind the headers", lambda a: streamed(a, Reset(), frames=0), CUT_AT_ONCE),
    Scenario("FIN between events", lambda a: streamed(a, Close()), CUT),
    Scenario(
        "FIN between events, of a body without framing", lambda a: streamed(a, Close(), head=Head(framing="close")), CUT
    ),
    Scenario("a proper end between events", lambda a: streamed(a, End()), CUT),
    Scenario("RST between events", lambda a: streamed(a, Reset()), CUT),
    Scenario("FIN inside an event", lambda a: streamed(a, Send(half(a.frames[-1])), Close()), CUT),
    Scenario(
        "FIN inside an event, of a body without framing",
        lambda a: streamed(a, Send(half(a.frames[-1])), Close(), head=Head(framing="close")),
        CUT,
    ),
    Scenario("a proper end inside an event", lambda a: streamed(a, Send(half(a.frames[-1])), End()), CUT),
    Scenario("RST inside an event", lambda a: streamed(a, Send(half(a.frames[-1])), Reset()), CUT),
    Scenario("FIN behind the finish", lambda a: to_finish(a, Close()), CUT),
    Scenario(
        "FIN behind the finish, of a body without framing",
        lambda a: to_finish(a, Close(), head=Head(framing="close")),
        CUT,
    ),
    Scenario("a proper end behind the finish", lambda a: to_finish(a, End()), CUT),
    Scenario("RST behind the finish", lambda a: to_finish(a, Reset()), CUT),
    Scenario("FIN inside the end marker", lambda a: to_finish(a, Send(DONE[:9]), Close()), CUT),
    Scenario(
        "a chunk that is none",
        lambda a: streamed(a, Raw(b"zz\r\nnonsense\r\n"), Close()),
        Broken(faults=("cut", "malformed")),
    ),
    Scenario("the end marker without a finish", lambda a: streamed(a, Send(DONE), End()), CUT),
    Scenario("the end marker alone", lambda a: streamed(a, Send(DONE), End(), frames=0), CUT_AT_ONCE),
    Scenario("an empty body", lambda a: [Whole(200, b"", EVENTS)], CUT_AT_ONCE),
)

EVENTS_OF_NO_PROTOCOL = (
    Scenario("an event that is no JSON", lambda a: broken_frame(a, b'data: {"text": \n\n'), MALFORMED),
    Scenario("an event that is a list", lambda a: broken_frame(a, b"data: []\n\n"), MALFORMED),
    Scenario("an event that is null", lambda a: broken_frame(a, b"data: null\n\n"), MALFORMED),
    Scenario("an event without fields", lambda a: broken_frame(a, b"data: {}\n\n"), MALFORMED),
    Scenario("bytes that are no UTF-8", lambda a: broken_frame(a, frame_with(a, "?", b"?", b"\xff\xfe")), MALFORMED),
    Scenario("a lone surrogate", lambda a: broken_frame(a, frame_with(a, "?", b"?", b"\\ud83d")), MALFORMED),
    Scenario("a page in place of a stream", lambda a: [Whole(200, PAGE, HTML)], FOREIGN),
    Scenario(
        "a page that says it is a stream",
        lambda a: [Whole(200, PAGE, EVENTS)],
        Broken(faults=("foreign", "malformed", "cut"), again=None),
    ),
    Scenario("a plain answer in place of a stream", lambda a: [Whole(200, dumped({"text": "x"}))], FOREIGN),
    Scenario("a second finish", lambda a: to_finish(a, Send(a.frames[a.finish]), Send(DONE), End()), LATE),
    Scenario("text behind the finish", lambda a: to_finish(a, Send(late_text(a)), Send(DONE), End()), LATE),
    Scenario("the finish `abort`", lambda a: instead(a, a.wire.finish(a.payloads[a.finish], "abort")), ABORTED),
    Scenario(
        "a finish reason that nobody knows",
        lambda a: instead(a, a.wire.finish(a.payloads[a.finish], "tired")),
        MALFORMED,
    ),
    Scenario(
        "an error in the middle",
        lambda a: streamed(a, Send(framed(a.wire.error("out of memory"))), Send(DONE), End()),
        ABORTED,
    ),
    Scenario(
        "an error at once", lambda a: [Head(), Send(framed(a.wire.error("out of memory"))), Send(DONE), End()], ABORTED
    ),
)

HEALTHY = (
    Scenario("nothing", lambda a: a.acts(), None),
    Scenario("every byte by itself", bytewise, None),
    Scenario("cuts inside characters", split_characters, None),
    Scenario("all in one piece", in_one_piece, None),
    Scenario("comments between events", with_comments, None),
    Scenario("carriage returns", with_carriage_returns, None),
    Scenario("no framing", lambda a: [Head(framing="close"), *a.acts()[1:]], None),
    Scenario("FIN in place of the last chunk", lambda a: [*a.acts()[:-1], Close()], None),
    Scenario("no end behind the end marker", lambda a: [*a.acts()[:-1], Hang()], None),
)

HANGS = (
    Scenario("a hang before the headers", lambda a: [Hang()], TIMEOUT),
    Scenario("a hang behind the headers", lambda a: streamed(a, Hang(), frames=0), TIMEOUT),
    Scenario("a hang between events", lambda a: streamed(a, Hang()), TIMEOUT),
    Scenario("a hang inside an event", lambda a: streamed(a, Send(half(a.frames[-1])), Hang()), TIMEOUT),
    Scenario("a hang behind the finish", lambda a: to_finish(a, Hang()), TIMEOUT),
    Scenario("comments for ever", drip, TIMEOUT),
    Scenario("bytes slower than the deadline", drip_bytes, TIMEOUT),
)

NATIVE_ONLY = (
    Scenario("counts that go backwards", lambda a: broken_frame(a, framed(recount(a, -3))), MALFORMED),
    Scenario("counts that leap", lambda a: broken_frame(a, framed(recount(a, 40))), MALFORMED),
)
"""What only a wire that counts each event can show."""


def frame_with(answer: Answer, text: str, old: bytes, new: bytes) -> bytes:
    """An event whose text ends with these bytes."""
    frame = framed(answer.wire.text(middle(answer), text))
    place = frame.index(old)
    return frame[:place] + new + frame[place + len(old) :]


def late_text(answer: Answer) -> bytes:
    return framed(answer.wire.text(answer.payloads[answer.finish], " more"))


def recount(answer: Answer, by: int) -> Json:
    event = middle(answer)
    meta = {**event["meta_info"]}
    meta["completion_tokens"] += by
    return {**event, "meta_info": meta}


STREAMED = (*REFUSALS, *BEFORE, *CUTS, *EVENTS_OF_NO_PROTOCOL, *HEALTHY)


def body(answer: Answer) -> bytes:
    return answer.frames[0]


def whole(answer: Answer, data: bytes, *, length: int | None = None) -> list[Act]:
    """A body that claims another length."""
    headers = {"content-type": "application/json", "content-length": str(len(data) if length is None else length)}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return [Raw(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + data), Close()]


PLAIN = (
    *REFUSALS,
    *BEFORE,
    Scenario("FIN behind the headers", lambda a: whole(a, b"", length=100), CUT_AT_ONCE),
    Scenario("FIN inside the body", lambda a: whole(a, half(body(a)), length=len(body(a))), CUT_AT_ONCE),
    Scenario(
        "half a body that claims to be whole",
        lambda a: [Whole(200, half(body(a)))],
        Broken(faults=("malformed", "foreign")),
    ),
    Scenario("an empty body", lambda a: [Whole(200, b"")], Broken(faults=("malformed", "foreign", "cut"))),
    Scenario("a page", lambda a: [Whole(200, PAGE, HTML)], Broken(faults=("foreign", "malformed"))),
    Scenario("a body that is a list", lambda a: [Whole(200, b"[]")], Broken(faults=("malformed", "foreign"))),
    Scenario("a body without fields", lambda a: [Whole(200, b"{}")], Broken(faults=("malformed", "foreign"))),
    Scenario("the finish `abort`", lambda a: [Whole(200, dumped(a.wire.finish(a.payloads[0], "abort")))], ABORTED),
    Scenario(
        "a finish reason that nobody knows",
        lambda a: [Whole(200, dumped(a.wire.finish(a.payloads[0], "tired")))],
        MALFORMED,
    ),
    Scenario("an error in place of an answer", lambda a: [Whole(200, dumped(a.wire.error("out of memory")))], ABORTED),
    Scenario("nothing", lambda a: a.acts(), None),
)

PLAIN_HANGS = (
    HANGS[0],
    Scenario("a hang inside the body", lambda a: [*whole(a, half(body(a)), length=len(body(a)))[:1], Hang()], TIMEOUT),
)
