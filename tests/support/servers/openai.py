"""The OpenAI wire, for texts and for chats, in the dialects of the servers that speak it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.support.servers.acts import Json
from tests.support.servers.speech import Ask, Speaker, Step


@dataclass(frozen=True, slots=True)
class Profile:
    """What one kind of server makes of the wire."""

    name: str
    matched: str | None
    """The field of a choice that says at which stop it ended."""
    matched_end: bool
    """Whether that field has the id of the end of text when it ended there."""
    keep_stop: str | None
    """The request's field that keeps a stop in the text; None: it is always kept."""
    stopped: str = "stop"
    """The finish reason of a text that ended at a stop of the request's."""
    ids: bool = True
    """Whether a prompt may be ids."""
    special: bool = True
    """Whether the request may ask for special tokens to be shown; otherwise they never are."""
    empty_delta: bool = False
    """Whether a chat's finish comes in an event of its own, behind the last text."""
    cached: bool = True
    """Whether the usage says how many prompt tokens were cached."""
    checks_model: bool = True
    """Whether another model's name is refused."""


SGLANG = Profile(
    "sglang", "matched_stop", matched_end=True, keep_stop="no_stop_trim", empty_delta=True, checks_model=False
)
VLLM = Profile("vllm", "stop_reason", matched_end=False, keep_stop="include_stop_str_in_output")
TENSORRT = Profile("tensorrt-llm", "stop_reason", matched_end=False, keep_stop="include_stop_str_in_output")
TGI = Profile(
    "tgi", None, matched_end=False, keep_stop=None, stopped="stop_sequence", ids=False, special=False, cached=False
)


def ask_of(body: Json, profile: Profile, speaker: Speaker, prompt: Sequence[int], default: Sequence[int]) -> Ask:
    """What a body asks for, behind this prompt."""
    stop = body.get("stop") or ()
    custom: dict[str, Any] = body.get("custom_params") or {}
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    return Ask(
        prompt=tuple(prompt),
        limit=int(16 if limit is None else limit),
        script=tuple(custom.get("script", default)),
        stops=(stop,) if isinstance(stop, str) else tuple(stop),
        stop_ids=tuple(body.get("stop_token_ids") or ()),
        keep_stop=profile.keep_stop is None or bool(body.get(profile.keep_stop, False)),
        special=profile.special and not body.get("skip_special_tokens", True),
    )


@dataclass(frozen=True, slots=True)
class OpenAIWire:
    """Events and bodies of /v1/completions (`text`) and /v1/chat/completions (`chat`)."""

    profile: Profile
    kind: Literal["text", "chat"]
    model: str
    end: int
    """The id of the end of text."""

    def payloads(
        self, steps: Sequence[Step], ask: Ask, cached: int, rid: str, *, streamed: bool, usage: bool
    ) -> list[Json]:
        """`usage`: whether a stream ends with an event that has the counts only."""
        last = steps[-1]
        if not streamed:
            whole = self._event(rid, self._choice(last.text, last, streamed=False), streamed=False)
            return [{**whole, "usage": self._usage(last, ask, cached)}]
        before = [Step("", ()), *steps[:-1]]
        pieces = [(step.text.removeprefix(old.text), step) for old, step in zip(before, steps, strict=True)]
        if self.kind == "chat" and self.profile.empty_delta and pieces[-1][0]:
            text, _ = pieces.pop()
            pieces += [(text, Step(last.text, last.ids)), ("", last)]
        events = [self._event(rid, self._choice(text, step)) for text, step in pieces]
        if self.kind == "chat":
            events.insert(0, self._event(rid, self._opening()))
        if usage:
            events.append({**self._event(rid, None), "usage": self._usage(last, ask, cached)})
        return events

    def _event(self, rid: str, choice: Json | None, *, streamed: bool = True) -> Json:
        chat = "chat.completion.chunk" if streamed else "chat.completion"
        return {
            "id": rid,
            "object": chat if self.kind == "chat" else "text_completion",
            "created": 1_700_000_000,
            "model": self.model,
            "choices": [] if choice is None else [choice],
        }

    def _opening(self) -> Json:
        return {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}

    def _choice(self, text: str, step: Step, *, streamed: bool = True) -> Json:
        said: Json = {"text": text}
        if self.kind == "chat":
            said = {"delta": {"content": text} if text else {}} if streamed else {"message": _message(text)}
        matched = self.profile.matched
        shown = step.matched if self.profile.matched_end or step.matched != self.end else None
        at_stop = step.reason == "stop" and step.matched != self.end
        reason = self.profile.stopped if at_stop else step.reason
        told = {matched: shown} if matched else {}
        return {"index": 0, **said, "logprobs": None, "finish_reason": reason, **told}

    def _usage(self, step: Step, ask: Ask, cached: int) -> Json:
        prompt, said = len(ask.prompt), len(step.ids)
        usage: Json = {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}
        if self.profile.cached:
            usage["prompt_tokens_details"] = {"cached_tokens": cached} if cached else None
        return usage

    def text(self, payload: Json, text: str) -> Json:
        said = {"text": text} if self.kind == "text" else {"delta": {"content": text}}
        return {**payload, "choices": [{**self._first(payload), **said, "finish_reason": None}]}

    def finish(self, payload: Json, reason: str) -> Json:
        return {**payload, "choices": [{**self._first(payload), "finish_reason": reason}]}

    def finished(self, payload: Json) -> bool:
        return bool(payload["choices"]) and payload["choices"][0]["finish_reason"] is not None

    def error(self, message: str) -> Json:
        return {"error": {"message": message, "type": "InternalServerError", "param": None, "code": 500}}

    def said(self, payloads: Sequence[Json]) -> str:
        choices = [choice for payload in payloads for choice in payload["choices"]]
        return "".join(choice.get("text") or _content(choice) for choice in choices)

    def _first(self, payload: Json) -> Json:
        return payload["choices"][0] if payload["choices"] else self._opening()


def refused(message: str, kind: str = "BadRequestError", code: int = 400) -> Json:
    """What the OpenAI wire says of a request that it cannot take."""
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def _message(text: str) -> Json:
    return {"role": "assistant", "content": text}


def _content(choice: Json) -> str:
    said: Json = choice.get("delta") or choice.get("message") or {}
    return said.get("content") or ""
