"""How a server is set up, and what it says of itself at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.servers import openai
from tests.support.servers.acts import Json
from tests.support.servers.http import Asked
from tests.support.servers.speech import Speaker


@dataclass(frozen=True, slots=True)
class Serving:
    """How a double is set up. The defaults are a SGLang server with cache report and metrics on."""

    profile: openai.Profile = openai.SGLANG
    model: str = "countdown"
    window: int = 4096
    incremental: bool = False
    """SGLang's `--incremental-streaming-output`."""
    metrics: bool = True
    cache_report: bool = True
    """Whether the OpenAI wire says what was cached; the native one always does."""
    facts: Json = field(default_factory=dict[str, Any])
    """In place of what /server_info says by default."""
    default: str = "So it is."
    """What the model says without a script."""
    pause: float = 0.0
    """Seconds between two events."""
    folder: str | None = None
    """Where it says that its model is; None: where it is."""
    router: bool = False
    """Whether it answers as a router does whose worker cannot be reached from outside."""


def at_once(path: str, asked: Asked, serving: Serving, speaker: Speaker) -> Json | bytes | None:
    """What is answered without a thought; None: there is no such path."""
    if path == "/health":
        return b""
    if path == "/v1/models":
        owner = {"owned_by": serving.profile.name, "max_model_len": serving.window}
        return {"object": "list", "data": [{"id": serving.model, "object": "model", **owner}]}
    return _sglang(path, asked, serving, speaker) if serving.profile is openai.SGLANG else None


def _sglang(path: str, asked: Asked, serving: Serving, speaker: Speaker) -> Json | None:
    if serving.router:
        hidden = ("/server_info", "/model_info", "/tokenize", "/detokenize", "/abort_request")
        path = "" if path in hidden else path.removeprefix("/v1")
        if path == "/workers":
            return {"workers": [{"url": "http://127.0.0.1:9"}]}
    if path in ("/get_model_info", "/model_info"):
        return {**_model(serving, speaker), "is_generation": True, "weight_version": "default"}
    if path in ("/server_info", "/get_server_info"):
        return _facts(serving, speaker)
    if path == "/tokenize":
        return _tokenize(asked.json, serving, speaker)
    if path == "/detokenize":
        body = asked.json
        return {"text": speaker.decode(body["tokens"], special=not body.get("skip_special_tokens", True))}
    return None


def _model(serving: Serving, speaker: Speaker) -> Json:
    folder = serving.folder or str(speaker.folder)
    return {"model_path": folder, "tokenizer_path": folder, "served_model_name": serving.model}


def _facts(serving: Serving, speaker: Speaker) -> Json:
    """The part of SGLang's long answer that anyone could ask for."""
    return {
        **_model(serving, speaker),
        "version": "0.5.21",
        "status": "ready",
        "context_length": None,
        "page_size": 1,
        "schedule_policy": "fcfs",
        "disable_radix_cache": False,
        "strip_thinking_cache": False,
        "skip_tokenizer_init": False,
        "stream_interval": 1,
        "max_total_num_tokens": max(32768, serving.window),
        "enable_cache_report": serving.cache_report,
        "enable_metrics": serving.metrics,
        "incremental_streaming_output": serving.incremental,
        **serving.facts,
    }


def _tokenize(body: Json, serving: Serving, speaker: Speaker) -> Json:
    prompt: str | list[str] | None = body.get("prompt")
    if prompt is None:
        prompt = speaker.render(body["messages"], body.get("chat_template_kwargs") or {})
    if isinstance(prompt, str):
        ids = speaker.encode(prompt)
        return {"tokens": ids, "count": len(ids), "max_model_len": serving.window}
    many = [speaker.encode(one) for one in prompt]
    return {"tokens": many, "count": list(map(len, many)), "max_model_len": serving.window}
