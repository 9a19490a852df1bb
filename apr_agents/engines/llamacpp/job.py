"""One request on its way through the scheduler: what is left to evaluate, what was generated, when it ends."""

from __future__ import annotations

from apr_agents.engines.base import Chunk, Finish, Request, Timings, Usage
from apr_agents.engines.llamacpp.cache import Slot
from apr_agents.engines.llamacpp.model import Model
from apr_agents.engines.llamacpp.sampling import Sampler
from apr_agents.engines.llamacpp.text import Detokenizer, StopMatcher


class Job:
    """A request and its state. Only the scheduler's thread touches it, but for `cancelled`."""

    def __init__(self, request: Request, model: Model, now: float) -> None:
        self.request = request
        self.cancelled = False
        self.slot: Slot | None = None
        """The sequence that it uses; None while it waits."""
        self.pending: list[int] = []
        """Tokens still to be evaluated; after the prompt, the one sampled last."""
        self.generated: list[int] = []
        self.sampler: Sampler | None = None
        self.behind: tuple[Job, int] | None = None
        """A job that is evaluating a prefix of this one, and the length of that prefix."""
        self._model = model
        self._text: list[str] = []
        self._detokenizer = Detokenizer()
        self._stops = StopMatcher(request.stops)
        self._cached: int | None = None
        self._arrived, self._admitted, self._sampled = now, now, now

    @property
    def text(self) -> str:
        """All text that it gave so far."""
        return "".join(self._text)

    @property
    def length(self) -> int:
        """Tokens of its prompt and its answer so far."""
        return self.request.context.tokens + len(self.generated)

    def start(self, slot: Slot, pending: list[int], cached: int, now: float) -> None:
        """It has a sequence; `cached` tokens of it need no evaluation. What counts is the first start."""
        self.slot, self.pending, self.behind = slot, pending, None
        if self._cached is None:
            self._cached, self._admitted = cached, now

    def waits_behind(self) -> bool:
        """Whether the prefix that it waits for is still being evaluated."""
        if self.behind is None:
            return False
        other, tokens = self.behind
        return other.slot is not None and other.slot.length < tokens

    def accept(self, token: int, now: float) -> Chunk:
        """The chunk of a token that was just sampled; the last one of the job carries its finish."""
        if not self.generated:
            self._sampled = now
        self.generated.append(token)
        self.pending = [token]
        ended, matched, text = self._judge(token)
        self._text.append(text)
        finish = None
        if ended or len(self.generated) >= self.request.max_tokens:
            finish = Finish("stop" if ended else "length", matched, self._usage(), self._timings(now))
        return Chunk(text, (token,), finish)

    def evaluated(self, now: float) -> Chunk:
        """The one chunk of a request for no new tokens, whose context was just evaluated to its end."""
        self._sampled = now
        return Chunk("", (), Finish("length", None, self._usage(), self._timings(now)))

    def _judge(self, token: int) -> tuple[bool, str | None, str]:
        """Whether this token ends the answer, by which stop, and the text that it completes."""
        if token in self._model.ends:
            return True, None, self._detokenizer.end()
        piece = self._model.piece(token)
        text = self._detokenizer.feed(piece)
        matched = self._stops.feed(piece)
        if token in self.request.stop_ids:
            matched = piece.decode("utf-8", "replace")
        ended = matched is not None
        if ended or len(self.generated) >= self.request.max_tokens:
            text += self._detokenizer.end()
        return ended, matched, text

    def _usage(self) -> Usage:
        return Usage(self.request.context.tokens, self._cached, len(self.generated))

    def _timings(self, now: float) -> Timings:
        return Timings(self._admitted - self._arrived, self._sampled - self._admitted, now - self._sampled)
