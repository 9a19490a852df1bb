"""SGLang's native wire, as version 0.5.21 writes it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.servers.acts import Json
from tests.support.servers.speech import Ask, Speaker, Step

TIMED = ("queue_time", "forward_entry_time", "prefill_finished_time")
"""What every event has with metrics on."""
TIMED_LAST = ("request_received_ts", "first_token_latency", "request_finished_ts", "response_sent_to_client_ts")
"""What the last event has besides."""


def ask_of(body: Json, speaker: Speaker, default: Sequence[int]) -> Ask:
    """What a body of /generate asks for."""
    sampling: dict[str, Any] = body.get("sampling_params") or {}
    custom: dict[str, Any] = sampling.get("custom_params") or {}
    stop = sampling.get("stop") or ()
    prompt = body.get("input_ids")
    return Ask(
        prompt=tuple(speaker.encode(body["text"]) if prompt is None else prompt),
        limit=int(sampling.get("max_new_tokens", 128)),
        script=tuple(custom.get("script", default)),
        stops=(stop,) if isinstance(stop, str) else tuple(stop),
        stop_ids=tuple(sampling.get("stop_token_ids") or ()),
        keep_stop=bool(sampling.get("no_stop_trim", False)),
        special=not sampling.get("skip_special_tokens", True),
        interval=int(sampling.get("stream_interval") or 1),
    )


@dataclass(frozen=True, slots=True)
class NativeWire:
    """Events and bodies of /generate."""

    incremental: bool = False
    """Whether an event brings what is new, in place of all so far."""
    metrics: bool = True

    def payloads(self, steps: Sequence[Step], ask: Ask, cached: int, rid: str, *, streamed: bool) -> list[Json]:
        shown = [step for step in steps[:-1] if streamed and _is_sent(step, ask)] + list(steps[-1:])
        started = time.time()
        before = [Step("", ())] * len(shown)
        if self.incremental and streamed:
            before = [Step("", ()), *shown[:-1]]
        return [
            {
                "text": step.text.removeprefix(last.text),
                "output_ids": list(step.ids[len(last.ids) :]),
                "meta_info": self._meta(step, ask, cached, rid, started),
            }
            for last, step in zip(before, shown, strict=True)
        ]

    def _meta(self, step: Step, ask: Ask, cached: int, rid: str, started: float) -> Json:
        ended = step.reason is not None
        meta: Json = {
            "id": rid,
            "finish_reason": _finish(step),
            "prompt_tokens": len(ask.prompt),
            "weight_version": "default",
            "num_retractions": 0,
            "reasoning_tokens": 0,
            "completion_tokens": len(step.ids),
            "cached_tokens": cached,
            "cached_tokens_details": {"device": cached, "host": 0} if cached else None,
            "dp_rank": None,
        }
        if self.metrics:
            meta |= zip(TIMED, (0.0005, started + 0.001, started + 0.011), strict=True)
        if ended:
            meta["e2e_latency"] = 0.04
        if ended and self.metrics:
            meta |= zip(TIMED_LAST, (started, 0.012, started + 0.04, started + 0.0405), strict=True)
        return meta

    def text(self, payload: Json, text: str) -> Json:
        before = "" if self.incremental else payload["text"]
        ids = [235] if self.incremental else [*payload["output_ids"], 235]
        meta: Json = {**payload["meta_info"], "finish_reason": None}
        meta["completion_tokens"] += 1
        return {**payload, "text": before + text, "output_ids": ids, "meta_info": meta}

    def finish(self, payload: Json, reason: str) -> Json:
        told = {"type": reason, "message": "Aborted", "status_code": None, "err_type": None}
        return {**payload, "meta_info": {**payload["meta_info"], "finish_reason": told}}

    def finished(self, payload: Json) -> bool:
        return payload["meta_info"]["finish_reason"] is not None

    def error(self, message: str) -> Json:
        told = {"message": message, "type": "internal_server_error", "code": 500, "retryable": False}
        return {"error": told}

    def said(self, payloads: Sequence[Json]) -> str:
        texts = [payload["text"] for payload in payloads]
        return "".join(texts if self.incremental else texts[-1:])


def _is_sent(step: Step, ask: Ask) -> bool:
    """Whether a step is an event of its own: the first one, and then one each `stream_interval` tokens."""
    return ask.interval <= 1 or len(step.ids) % ask.interval == 1


def refused(message: str, *, streamed: bool) -> Json:
    """What /generate says of a request that it cannot take: status 400, or, asked for a stream, 200 and one event."""
    if streamed:
        return {"error": {"message": message, "type": "invalid_request_error", "code": 400, "retryable": False}}
    return {"error": {"message": message}}


def _finish(step: Step) -> Json | None:
    if step.reason is None:
        return None
    return (
        {"type": "length", "length": len(step.ids)}
        if step.reason == "length"
        else {
            "type": "stop",
            "matched": step.matched,
        }
    )
