"""What an engine is: a context goes in, a stream of exact text and ids comes out, and the last chunk says why it ended.

Complete means: a finish of `stop` or `length` in the last chunk. Anything else is an EngineError that keeps the partial
text; nothing is guessed. Leaving the stream's block early cancels the request, within 50 ms whatever the server does.
An engine sends a request once: whether to send it again is the driver's to say (`EngineError.again`). Errors name the
server and, where there is one, the branch.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

from apr_agents.clock import Clock
from apr_agents.context import Context
from apr_agents.paths import BranchPath


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Temperature 0 is greedy and ignores the rest."""

    temperature: float = 0.0
    top_k: int = 0
    """0: no limit."""
    top_p: float = 1.0
    seed: int = 0
    """Already the request's own: the driver derives it from the run's seed and the branch path."""


@dataclass(frozen=True, slots=True)
class Request:
    """What an engine is asked for."""

    context: Context
    max_tokens: int
    """A hard limit on generated tokens. 0: evaluate the context, so that later requests find it in the cache, and end
    with the finish `length` in one chunk without text; only engines with `EngineInfo.warms` are asked for that."""
    stops: tuple[str, ...] = ()
    """The text that ends generation; it is kept in the output. A token in which one ends stays whole."""
    stop_ids: tuple[int, ...] = ()
    """Token ids that end generation, beside the model's own end-of-text."""
    sampling: Sampling = Sampling()
    deadline: float | None = None
    """Seconds on the engine's clock after which the request is of no use; None: never."""
    path: BranchPath = BranchPath()
    run_id: str = ""
    """With `path` the affinity key: requests of one run share a prefix."""
    watched: bool = True
    """Whether each chunk is of use as soon as it is there. False: nobody reads them before the last, so an engine may
    send fewer where that is cheaper. What was generated is kept all the same when the request is cut short, but for the
    last tokens, as many as such a chunk has."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request. `cached` is None where the engine does not say."""

    prompt: int
    cached: int | None
    generated: int


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of one request by the engine's own account; None where it does not say."""

    queue: float | None = None
    prefill: float | None = None
    decode: float | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """How a request ended."""

    reason: Literal["stop", "length"]
    matched: str | None
    """The stop that ended it, as text; None for the model's own end-of-text and for `length`."""
    usage: Usage
    timings: Timings = Timings()


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some newly generated tokens; the last chunk of a request, and only it, carries the finish."""

    text: str
    ids: tuple[int, ...] | None
    """The model's own end of text is among them, as the last token and without text."""
    finish: Finish | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message. Its text is data: control tags in it become plain text."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine says of itself."""

    name: str
    """Such as `embedded:countdown`."""
    window: int | None
    """Tokens of context that one request may have; None: unknown."""
    dialects: tuple[str, ...] = ()
    """Dialects that its model was trained on; any other is taught by a system prompt."""
    page: int = 1
    """Tokens of a cache page: a prefix is reused in whole pages only."""
    warms: bool = False
    """Whether it takes requests for no new tokens, which fill its cache."""
    ahead: bool = False
    """Whether evaluating a join's prefix ahead, while its slowest branch still decodes, pays here: by benchmark."""


class Engine(Protocol):
    """A source of tokens. Open it with `async with`; it may serve many requests at once."""

    @property
    def info(self) -> EngineInfo: ...

    @property
    def clock(self) -> Clock:
        """The clock in whose seconds deadlines and timings are."""
        ...

    def encode(self, text: str, *, control: bool) -> tuple[int, ...] | None:
        """The ids of this text, control tags as control tokens or as plain text; None where only text is spoken."""
        ...

    def prompt(self, messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
        """These messages in the model's own chat template, `variables` passed to it, up to where the answer begins.

        Raises EngineError when the model has no chat template, or cannot read a message.
        """
        ...

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """The chunks of this request as they are made. Raises EngineError; ContextFull when it does not fit."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
