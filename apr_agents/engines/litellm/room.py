"""How many tokens a request may generate where contexts are text: a server refuses what its window has no room for."""

from __future__ import annotations

from apr_agents.context import Context, Origin
from apr_agents.engines.base import Request
from apr_agents.engines.litellm.prompts import GO_ON
from apr_agents.engines.tokenizer import Tokenizer
from apr_agents.errors import ContextFull

_BEGIN = 2
"""Tokens that a server may put around a text."""
_GLUE = 16
"""Tokens that a chat template may put around a message."""
_MARGIN = 1.1
"""What is taken of tokens that are not counted here, over those that the longest prompt so far had a byte."""
_USUAL = 3
"""Bytes of a token, usually."""


class Room:
    """Its mutable state is the longest prompt that a server has counted: it says how many bytes a token has here."""

    def __init__(
        self,
        window: int | None,
        tokenizer: Tokenizer | None,
        *,
        chat: bool,
        continues: bool = True,
        most: int | None = None,
    ) -> None:
        """`window`: None: unknown, and the server's own limit serves. `continues`: whether a chat's server goes on
        with an assistant's message, and needs no further one that asks it to. `most`: tokens that one answer may have
        whatever the window; None: any."""
        self._window = window
        self._most = most
        self._tokenizer = tokenizer
        self._chat = chat
        self._goes_on = chat and not continues
        self._longest = 0
        self._density = 1.0

    def left(self, request: Request) -> int:
        """The tokens that this request may generate. Raises ContextFull where there is no room for one."""
        window, wanted = self._window, min(request.max_tokens, self._most or request.max_tokens)
        if window is None:
            return wanted
        context, around = request.context, self._around(request.context)
        most = _bytes(context.text) + around
        if most + wanted <= window:  # no text has more tokens than bytes
            return wanted
        size = self._count(context.text, window - around) + around
        if size >= window:
            raise ContextFull(f"the context has about {size} tokens, and the window is {window}; shorten the prompt")
        return min(wanted, window - size)

    def learn(self, context: Context, tokens: int) -> None:
        """A server counted this context."""
        size = _bytes(context.text)
        if size > self._longest and tokens:
            self._longest, self._density = size, min(1.0, _MARGIN * tokens / size)

    def _around(self, context: Context) -> int:
        if not self._chat:
            return _BEGIN
        asked = sum(segment.origin is Origin.client for segment in context.segments)
        goes_on = self._goes_on and asked < len(context.segments)
        return _GLUE * (1 + asked) + (self._tokens(GO_ON) + _GLUE if goes_on else 0)

    def _tokens(self, text: str) -> int:
        return len(self._tokenizer.sample(text)) if self._tokenizer else _bytes(text)

    def _count(self, text: str, room: int) -> int:
        """The tokens of this text. Without a tokenizer: as dense as the longest prompt so far, and before the first as
        many as may be, unless nothing could be asked for then: that is for the server to say."""
        if self._tokenizer is not None:
            return self._tokens(text)
        size = _bytes(text)
        dense = int(size * self._density) + 1
        return dense if self._longest or dense < room else size // _USUAL


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
