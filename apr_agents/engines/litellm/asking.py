"""What callers of LiteLLM ask of `apr-sglang/NAME` as a request of ours, and what they get in LiteLLM's terms."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Chunk, Engine, Finish, Message, Request, Sampling
from apr_agents.errors import UsageError

_OURS = (
    *("input_ids", "text", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "seed", "stop", "n"),
    *("stop_token_ids", "no_stop_trim", "stream", "stream_options", "sampling_params", "extra_body", "user"),
    *("chat_template_kwargs", "max_retries", "metadata", "extra_headers"),
)
"""What has a place in a request; the rest goes into the body as it is."""
_SAMPLING = (
    *("min_p", "frequency_penalty", "presence_penalty", "repetition_penalty", "ignore_eos", "min_new_tokens", "regex"),
    *("ebnf", "json_schema", "logit_bias", "custom_params"),
)
"""What goes among the native endpoint's `sampling_params`."""
_MISSING = ("tools", "functions", "response_format", "logprobs", "tool_choice", "modalities", "audio")
_ROLES: Mapping[str, Literal["system", "user", "assistant", "tool"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


@dataclass(frozen=True, slots=True)
class Asked(Request):
    """A request with fields of its own for the body."""

    more: Mapping[str, object] = field(default_factory=dict[str, object])
    trim: bool = True
    """Whether the stop is taken out of the text, as LiteLLM's users expect."""


def more_of(request: Request) -> Mapping[str, object]:
    """The fields that a request brings for its body."""
    return request.more if isinstance(request, Asked) else {}


def prompt_of(
    engine: Engine, messages: Sequence[Mapping[str, Any]], given: Mapping[str, Any], *, as_text: bool
) -> Context:
    """The prompt: `input_ids` as they are; `text`, in which control tags are such; else the messages in the server's
    own template, in which they are not. Raises UsageError for what has no text."""
    ids = given.get("input_ids")
    if ids is not None:
        return Context.of(Segment("", tuple(cast("list[int]", ids)), Origin.client))
    text = given.get("text")
    if text is None and as_text:
        text = "".join(_content(message) for message in messages)
    if text is not None:
        return Context.of(Segment(text, engine.encode(text, control=True), Origin.client))
    shown = [Message(_role(message), _content(message)) for message in messages]
    variables: Mapping[str, Any] = given.get("chat_template_kwargs") or {}
    return engine.prompt(shown, {key: str(value) for key, value in variables.items()})


def asked_of(
    context: Context,
    given: Mapping[str, Any],
    *,
    window: int | None,
    run_id: str,
    watched: bool,
    deadline: float | None,
) -> Asked:
    """The request that these parameters mean. Raises UsageError for one that the native endpoint does not have."""
    for name in _MISSING:
        if given.get(name):
            raise UsageError(
                f"apr-sglang has no {name}; leave it out, or use the provider openai/ with the same server"
            )
    if (given.get("n") or 1) != 1:
        raise UsageError("apr-sglang gives one answer a request; leave n out")
    stop = given.get("stop") or ()
    limit = given.get("max_completion_tokens", given.get("max_tokens"))
    temperature = given.get("temperature")
    seed = given.get("seed")
    return Asked(
        context=context,
        max_tokens=_room(context, window) if limit is None else int(limit),
        stops=(stop,) if isinstance(stop, str) else tuple(stop),
        stop_ids=tuple(given.get("stop_token_ids") or ()),
        sampling=Sampling(
            1.0 if temperature is None else float(temperature),
            int(given.get("top_k") or 0),
            float(given.get("top_p") or 1.0),
            secrets.randbits(31) if seed is None else int(seed),
        ),
        deadline=deadline,
        run_id=run_id,
        watched=watched,
        more=_more(given),
        trim=not given.get("no_stop_trim"),
    )


def _room(context: Context, window: int | None) -> int:
    return 4096 if window is None else max(1, window - context.tokens - 1)


def _more(given: Mapping[str, Any]) -> dict[str, object]:
    body: dict[str, Any] = {**(given.get("extra_body") or {})}
    params: dict[str, Any] = {**(given.get("sampling_params") or {}), **body.pop("sampling_params", {})}
    params |= {name: given[name] for name in _SAMPLING if given.get(name) is not None}
    rest = {name: value for name, value in given.items() if name not in (*_OURS, *_SAMPLING) and value is not None}
    return {**rest, **body, "sampling_params": params}


def _role(message: Mapping[str, Any]) -> Literal["system", "user", "assistant", "tool"]:
    role = _ROLES.get(str(message.get("role")))
    if role is None:
        raise UsageError(f"a message has the role {message.get('role')!r}; there is {', '.join(_ROLES)}")
    return role


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = cast("list[dict[str, Any]]", content if isinstance(content, list) else [])
    texts = [str(part["text"]) for part in parts if part.get("type") == "text"]
    if content is not None and len(texts) != len(parts):
        raise UsageError("apr-sglang takes messages of text only; leave images and files out")
    return "".join(texts)


_SAME = 50
"""Equal chunks in a row, after which two go as one: LiteLLM takes a hundred for a model in a loop, and raises."""


class Shown:
    """A text as callers see it; its mutable state is what could still turn out to be the beginning of a stop."""

    def __init__(self, request: Asked) -> None:
        self._trim = request.trim
        self._keep = max((len(stop) for stop in request.stops), default=1) - 1 if request.trim else 0
        self._held = ""
        self._last, self._same = "", 0

    def take(self, chunk: Chunk) -> str:
        """What may be shown once this chunk has come."""
        text = self._held + chunk.text
        matched = chunk.finish.matched if chunk.finish else None
        if matched is not None and self._trim:
            text = text[: text.find(matched)] if matched in text else text
        keep = 0 if chunk.finish else min(self._keep, len(text))
        if not chunk.finish and self._is_one_too_many(text[: len(text) - keep]):
            keep = len(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def _is_one_too_many(self, text: str) -> bool:
        self._same = self._same + 1 if text == self._last else 1
        self._last = text
        return self._same % _SAME == 0


def usage_of(finish: Finish) -> dict[str, Any]:
    """The counts in LiteLLM's terms."""
    usage = finish.usage
    details = {} if usage.cached is None else {"prompt_tokens_details": {"cached_tokens": usage.cached}}
    total = usage.prompt + usage.generated
    counts = {"prompt_tokens": usage.prompt, "completion_tokens": usage.generated, "total_tokens": total}
    return {**counts, **details}


def facts_of(ids: Sequence[int], finish: Finish) -> dict[str, Any]:
    """What LiteLLM has no place for, for `provider_specific_fields`."""
    timings = {name: seconds for name, seconds in asdict(finish.timings).items() if seconds is not None}
    return {"ids": list(ids), "matched_stop": finish.matched, "finish": finish.reason, "timings": timings}


def deadline_of(now: Callable[[], float], timeout: object) -> float | None:
    """The moment at which this timeout, as LiteLLM gives it, is over."""
    seconds = getattr(timeout, "read", timeout)
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        return None
    return now() + seconds
