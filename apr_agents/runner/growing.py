"""The text of one request while it grows, and what an engine may not do with it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Protocol

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Chunk, Finish, Request
from apr_agents.errors import EngineError
from apr_agents.trace import Phases, Span, Tokens


class Stretching(Protocol):
    """Who is told of a request in stretches."""

    def cut(self, segment: Segment | None) -> None:
        """A stretch ends here, with this text: calls may start."""
        ...

    def end(self, rest: Segment | None, head: Span | None) -> None:
        """The request ended with this text behind its stretches; `head` is its first span, amended."""
        ...


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
        self.reusable: int | None = None
        """Of the prompt, how many tokens this run had evaluated before it was sent."""
        self.parts: list[Span] = []
        """Of its stretches so far, each of which ends with the outline of a call."""
        self.continues = False
        """Whether its first stretches came before the run was resumed: its prompt is theirs."""
        self._told = (0, 0)

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

    def stretch(self) -> Segment | None:
        """What came since this was asked last; None: nothing."""
        texts, ids = self._told
        self._told = len(self._texts), len(self._ids or ())
        if texts == len(self._texts) or not self.count:
            return None
        new = None if self._ids is None else tuple(self._ids[ids:])
        return Segment("".join(self._texts[texts:]), new, Origin.generated)

    def share(self, tokens: Tokens, phases: Phases | None) -> tuple[Tokens, Phases | None]:
        """Of what the whole request took so far, the share of the stretch that ends now: the first has the prompt."""
        if not self.parts and not self.continues:
            return tokens, phases
        told = sum(span.tokens.generated for span in self.parts if span.tokens)
        return Tokens(0, 0, 0, tokens.generated - told), None

    def head(self, tokens: Tokens) -> Span | None:
        """The span of the first stretch, now that the whole request took this; None: there are no stretches."""
        if self.continues or not self.parts or self.parts[0].tokens is None:
            return None
        first = replace(tokens, generated=self.parts[0].tokens.generated)
        return replace(self.parts[0], tokens=first, phases=phases_of(self))

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


def charged(prompt: Context, text: Growing, reusable: int | None) -> Tokens:
    """What a request is charged: by the engine's account, but never less than what was seen to come and go."""
    usage = text.finish.usage if text.finish else None
    asked = prompt.tokens if prompt.segment.ids is not None or usage is None else usage.prompt
    cached = None if usage is None or usage.cached is None else min(usage.cached, asked)
    return Tokens(asked, cached, reusable, max(usage.generated, text.count) if usage else text.count)


def phases_of(text: Growing) -> Phases | None:
    """Where a request's seconds went, by its engine; None for one that did not finish."""
    timings = text.finish.timings if text.finish else None
    return Phases(timings.queue, timings.prefill, timings.decode) if timings else None
