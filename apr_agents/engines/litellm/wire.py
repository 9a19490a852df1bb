"""The OpenAI wire's event streams, read strictly. Pure but for `Answer`, which grows with what comes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from apr_agents.engines.base import Chunk, Finish, Request, Usage
from apr_agents.engines.litellm.profiles import Profile
from apr_agents.errors import StreamFault

DONE = b"[DONE]"
"""The data of the event behind the last one."""
_GIVEN_UP = ("abort", "error", "content_filter", "tool_calls", "function_call")
"""Finish reasons of an answer that is not the text that was asked for."""


class Answer:
    """One answer. Complete is: a finish of stop or length, the end marker behind it, and no text between.

    Its mutable state is what has come. A server that cannot say at which stop it ended is not given any: then the
    answer is `over` where the first stop stands in the text, and the rest of the stream is not wanted.
    """

    def __init__(self, request: Request, profile: Profile, ends: Sequence[str] = (), *, zero: bool = False) -> None:
        """`ends`: how the model's own end of text is written, where special tokens are shown: it is no text of an
        answer. `zero`: whether a usage that tells no cached tokens means that there were none."""
        self._request = request
        self._profile = profile
        self._ends = ends
        self._zero = zero
        self._texts: list[str] = []
        self._tail = ""
        self._held = ""
        self._finish: tuple[Literal["stop", "length"], str | None, str] | None = None
        self.usage: dict[str, Any] | None = None
        """As the server gave it."""
        self.events = 0
        """Events that brought something that the model generated."""
        self.over = False

    @property
    def text(self) -> str:
        """What was given of it so far."""
        return "".join(self._texts)

    @property
    def partial(self) -> str:
        """What has come so far, given or not."""
        return self.text + self._held + (self._finish[2] if self._finish and not self.over else "")

    def event(self, data: bytes) -> Chunk | None:
        """The chunk that an event brings, None for none; the last one comes with the end marker. Raises StreamFault."""
        if self.over:
            raise StreamFault("late", "an event came behind the end of the stream")
        if data == DONE:
            return self._end()
        try:
            payload = json.loads(data)
            if payload.get("error"):
                raise _given_up(payload["error"], self.events)
            if payload.get("usage"):
                self.usage = payload["usage"]
            choices = payload["choices"]
            return self._choice(choices[0]) if choices else None
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            shown = data[:80].decode("utf-8", "replace")
            raise StreamFault("malformed", f"an event is not one of the OpenAI wire: {shown!r}") from error

    def close(self) -> None:
        """The connection ended. Raises StreamFault when the answer had not."""
        if not self.over:
            raise StreamFault("cut", f"the stream was cut after {len(self.text)} characters")

    def _choice(self, choice: dict[str, Any]) -> Chunk | None:
        text, thought = _said(choice)
        text.encode()  # a lone surrogate is no text
        reason = choice.get("finish_reason")
        if self._finish is not None and (text or reason):
            raise StreamFault("late", "an event came behind the finish")
        self.events += bool(text or thought)
        if reason:
            self._finish = (*self._reason(reason, choice), text)
            return None
        return self._give(text) if text else None

    def _give(self, text: str) -> Chunk | None:
        """What may be given of this text: nothing that could be the end of text, nothing behind a stop."""
        text, self._held = self._held + text, ""
        end = self._end_of(text)
        if end:
            text, self._held = text.removesuffix(end), end
        if not self._profile.stops:
            found = self._find(text)
            if found is not None:
                return self._cut(*found)
        if not text:
            return None
        self._note(text)
        return Chunk(text, None)

    def _end_of(self, text: str) -> str:
        return next((end for end in self._ends if text.endswith(end)), "")

    def _note(self, text: str) -> None:
        self._texts.append(text)
        self._tail = (self._tail + text)[-max(map(len, self._request.stops), default=1) :]

    def _find(self, text: str) -> tuple[str, str] | None:
        """The first stop that this text completes, and the text through it."""
        seen = self._tail + text
        ends = [(seen.index(stop) + len(stop), stop) for stop in self._request.stops if stop in seen]
        if not ends:
            return None
        end, stop = min(ends)
        return stop, seen[len(self._tail) : end]

    def _cut(self, stop: str, text: str) -> Chunk:
        self.over = True
        self._note(text)
        return Chunk(text, None, Finish("stop", stop, self._usage()))

    def _reason(self, said: str, choice: Mapping[str, Any]) -> tuple[Literal["stop", "length"], str | None]:
        """Why it ended, and the stop by the server's word."""
        if said == "length":
            return "length", None
        if said in _GIVEN_UP:
            raise StreamFault("aborted", f"the server gave up: finish reason {said!r}")
        if said not in ("stop", self._profile.stopped):
            raise StreamFault("malformed", f"the finish reason {str(said)[:40]!r} is not one of the OpenAI wire")
        told = choice.get(self._profile.matched) if self._profile.matched else None
        if isinstance(told, str) and told in self._request.stops:
            return "stop", told
        if said == self._profile.stopped != "stop":
            found = self._find(self._held + _said(choice)[0])
            return "stop", found[0] if found else None
        return "stop", None

    def _end(self) -> Chunk:
        if self._finish is None:
            raise StreamFault("cut", "the stream ended without a finish")
        reason, matched, text = self._finish
        text, self._held = self._held + text, ""
        if not self._profile.stops and (found := self._find(text)):
            return self._cut(*found)
        self.over = True
        if reason == "stop" and matched is None:
            text = text.removesuffix(self._end_of(text))
        elif matched and matched not in self._tail + text:
            text += matched[_begun(self._tail + text, matched) :]
        self._note(text)
        return Chunk(text, None, Finish(reason, matched, self._usage()))

    def _usage(self) -> Usage:
        """The server's counts; where it gave none, what was seen to come."""
        usage = self.usage or {}
        details = cast("dict[str, Any]", usage.get("prompt_tokens_details") or {})
        return Usage(
            int(usage.get("prompt_tokens") or 0),
            details.get("cached_tokens", 0 if usage and self._zero else None),
            int(usage.get("completion_tokens") or self.events),
        )


def _said(choice: Mapping[str, Any]) -> tuple[str, str]:
    """The text that a choice brings, and what the model thought apart from it."""
    if "delta" not in choice:
        return choice["text"] or "", ""
    delta = cast("dict[str, Any]", choice["delta"] or {})
    return delta.get("content") or "", str(delta.get("reasoning_content") or delta.get("tool_calls") or "")


def _begun(text: str, stop: str) -> int:
    """How much of a stop that the server cut off had been sent before it was known for one."""
    return next((size for size in range(len(stop) - 1, 0, -1) if text.endswith(stop[:size])), 0)


def _given_up(said: object, events: int) -> StreamFault:
    """The error of a server that gave up; worth another try where it was too busy to begin."""
    fields = cast("dict[str, object]", said) if isinstance(said, dict) else {"message": said}
    message = " ".join(str(fields.get("message") or "no reason given").split())[:300]
    busy = fields.get("status_code", fields.get("code")) in (429, 503)
    return StreamFault("aborted", f"the server gave up: {message}", again=busy and not events)


def whole(kind: Literal["text", "chat"], model: str, answer: Answer, reason: str) -> dict[str, object]:
    """The plain answer that LiteLLM is given when all of it has come."""
    message = {"role": "assistant", "content": answer.text}
    said = {"text": answer.text} if kind == "text" else {"message": message}
    return {
        "id": "apr",
        "object": "text_completion" if kind == "text" else "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, **said, "finish_reason": reason}],
        **({"usage": answer.usage} if answer.usage else {}),
    }
