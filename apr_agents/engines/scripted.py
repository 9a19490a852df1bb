"""An engine that says what a script tells it to, exactly: for tests of agents, and for this project's own.

It speaks ids, honours stops and limits at token boundaries, keeps an account of what its cache would hold, and lives on
a clock of its own, so a script may take hours and a test of it milliseconds.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from apr_agents.clock import Clock, VirtualClock
from apr_agents.context import Context, Origin, Segment
from apr_agents.dialects import Dialect
from apr_agents.engines.base import Chunk, EngineInfo, Finish, Message, Request, Timings, Usage
from apr_agents.errors import ContextFull, EngineError
from apr_agents.prefixes import PrefixIndex


@dataclass(frozen=True, slots=True)
class Reply:
    """What the engine says to one request."""

    text: str
    """Cut at the request's stops and limit, as a model's text would be."""
    token_seconds: float = 0.0
    """Virtual seconds of each token."""
    prefill_seconds: float = 0.0
    """Virtual seconds of each prompt token that the cache does not hold."""
    error: str | None = None
    """Raised as an EngineError behind the text."""
    again: bool = False
    """Whether that error says that the request may be sent again."""
    wait: float | None = None
    """After how many seconds, where it says so."""


END = ""
"""The model's own end of text as a token: it has an id and no text."""

Script = Mapping[str, "str | Reply | Sequence[str | Reply]"] | Callable[[Request], "str | Reply"]
"""By branch path (`""` is the run), the replies to its requests in turn; or a function of the request.

A request for no new tokens is none of the turns: it is evaluated as fast as the path's next one, and nothing is said.
"""


class ScriptedEngine:
    """An engine with a script in place of a model; see `Reply` and `Script`.

    Its mutable state is the vocabulary met so far, the prefixes evaluated, and what was asked: `requests`.
    """

    def __init__(
        self,
        script: Script,
        dialect: Dialect,
        *,
        clock: Clock | None = None,
        window: int | None = None,
        page: int = 1,
        chunk_tokens: int = 1,
        warms: bool = True,
        ahead: bool = False,
    ) -> None:
        self._script = script
        self._clock = clock or VirtualClock()
        self._info = EngineInfo("scripted", window, (dialect.name,), page, warms, ahead)
        self._chunk = chunk_tokens
        self.vocabulary = Vocabulary(dialect)
        self._cache = PrefixIndex()
        self._turns: dict[str, int] = defaultdict(int)
        self.requests: list[Request] = []
        """Every request, in the order of arrival."""
        self.open_requests = 0
        """How many requests are in flight."""

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def clock(self) -> Clock:
        return self._clock

    def encode(self, text: str, *, control: bool) -> tuple[int, ...]:
        return self.vocabulary.encode(text, control=control)

    def prompt(self, messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
        """The contents, a line each."""
        text = "".join(f"{message.content}\n" for message in messages)
        return Context.of(Segment(text, self.encode(text, control=False), Origin.client))

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        return self._stream(request)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    @asynccontextmanager
    async def _stream(self, request: Request) -> AsyncGenerator[AsyncIterator[Chunk]]:
        window = self._info.window
        if window is not None and request.context.tokens + request.max_tokens > window:
            raise ContextFull(f"{request.context.tokens} + {request.max_tokens} tokens, and a window of {window}")
        self.requests.append(request)
        self.open_requests += 1
        chunks = self._chunks(request, self._reply(request))
        try:
            yield chunks
        finally:
            self.open_requests -= 1
            await chunks.aclose()

    def _reply(self, request: Request) -> Reply:
        if callable(self._script):
            reply = self._script(request)
        else:
            path = str(request.path)
            said = self._script.get(path, "")
            turns = [said] if isinstance(said, (str, Reply)) else said
            turn = self._turns[path]
            if not request.max_tokens:
                return _unsaid(turns[turn] if turn < len(turns) else "")
            self._turns[path] += 1
            if turn >= len(turns):
                raise EngineError(f"the script has {len(turns)} replies for branch {path!r}, and was asked once more")
            reply = turns[turn]
        return Reply(reply) if isinstance(reply, str) else reply

    async def _chunks(self, request: Request, reply: Reply) -> AsyncGenerator[Chunk]:
        cached = min(self._cache.matched(request.context), request.context.tokens - 1)
        cached -= cached % self._info.page
        prefill = (request.context.tokens - cached) * reply.prefill_seconds
        await self._sleep(prefill)
        tokens, reason, matched = cut([*self.vocabulary.pieces(reply.text), *([] if reply.error else [END])], request)
        ids = [self.vocabulary.id_of(piece, control=True) for piece in tokens]
        for start in range(0, len(tokens), self._chunk):
            said = tokens[start : start + self._chunk]
            await self._sleep(len(said) * reply.token_seconds)
            if start + self._chunk < len(tokens) or reply.error:
                yield Chunk("".join(said), tuple(ids[start : start + self._chunk]))
        if ids or not reply.error:
            said = request.context.extend(Segment("".join(tokens), tuple(ids), Origin.generated))
            self._cache.add(said, unevaluated=1 if ids else 0)
        if reply.error:
            raise EngineError(reply.error, "".join(tokens), again=reply.again, wait=reply.wait)
        rest = (len(tokens) - 1) // self._chunk * self._chunk if tokens else 0
        usage = Usage(request.context.tokens, cached, len(tokens))
        timings = Timings(0.0, prefill, len(tokens) * reply.token_seconds)
        yield Chunk("".join(tokens[rest:]), tuple(ids[rest:]), Finish(reason, matched, usage, timings))

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep_until(self._clock.now() + seconds)


def _unsaid(reply: str | Reply) -> Reply:
    """What evaluating the prompt of this reply takes, and no word of it."""
    return Reply("", prefill_seconds=reply.prefill_seconds if isinstance(reply, Reply) else 0.0)


def cut(tokens: Sequence[str], request: Request) -> tuple[list[str], Literal["stop", "length"], str | None]:
    """These tokens as far as the request lets them come, why they end there, and the stop that ended them."""
    if not request.max_tokens:
        return [], "length", None
    text = ""
    for count, token in enumerate(tokens, 1):
        before, text = len(text), text + token
        hits = ((text.find(stop, max(0, before - len(stop))), stop) for stop in request.stops)
        found = min((hit for hit in hits if hit[0] >= 0), default=None)
        if found:
            return list(tokens[:count]), "stop", found[1]
        if count == request.max_tokens and count < len(tokens):
            return list(tokens[:count]), "length", None
    return list(tokens), "stop", None


class Vocabulary:
    """Words, spaces and single signs as tokens, and the dialect's tags as control tokens; the same ids in every engine.

    A tag in plain text is encoded as the words and signs that it is made of, never as the control token. The ids of
    control tokens are the first ones; those of other tokens are 48-bit digests behind them, kept once made.
    """

    def __init__(self, dialect: Dialect) -> None:
        known = sorted((tag for tag in dialect.tags.roles() if "{n}" not in tag), key=lambda tag: (-len(tag), tag))
        plain = r"\w+|\s|[^\w\s]"
        self._plain = re.compile(plain)
        self._control = re.compile("|".join([*map(re.escape, known), plain]))
        self.tags = {tag: number for number, tag in enumerate(known)}
        """The ids of the control tokens."""
        self._ids: dict[str, int] = {}

    def pieces(self, text: str) -> list[str]:
        return self._control.findall(text)

    def encode(self, text: str, *, control: bool) -> tuple[int, ...]:
        pieces = self._control.findall(text) if control else self._plain.findall(text)
        return tuple(self.id_of(piece, control=control) for piece in pieces)

    def id_of(self, piece: str, *, control: bool) -> int:
        if control and piece in self.tags:
            return self.tags[piece]
        known = self._ids.get(piece)
        if known is None:
            digest = hashlib.blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=6).digest()
            known = self._ids[piece] = len(self.tags) + int.from_bytes(digest)
        return known
