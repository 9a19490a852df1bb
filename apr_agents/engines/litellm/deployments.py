"""What a request may reach: a model behind LiteLLM, how it is spoken to, and what its server says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from apr_agents.engines.litellm.loading import Foreign
from apr_agents.engines.litellm.profiles import OPENAI, SGLANG, Profile, profile_of
from apr_agents.engines.sglang.client import Client
from apr_agents.errors import EngineError, EngineUnavailable, UsageError

NATIVE = "apr-sglang"
"""Our own provider: SGLang's native endpoint."""
_SDK = ("openai", "text-completion-openai", "custom_openai")
"""Providers that LiteLLM reaches with OpenAI's client."""
_HANDLED = ("hosted_vllm",)
"""Providers of the OpenAI wire that LiteLLM reaches with its own client."""

Kind = Literal["text", "chat", "native", "plain"]
"""Text completions; chats on the OpenAI wire; ids by our own provider; chats of a provider whose wire is not known."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One model behind LiteLLM."""

    id: str
    """As a Router names it."""
    model: str
    """With its provider: `hosted_vllm/qwen`."""
    name: str
    """As its server knows it."""
    kind: Kind
    sdk: bool
    """Whether LiteLLM reaches it with OpenAI's client."""
    base: str | None
    """Its address; None: LiteLLM knows it."""
    key: str | None

    def __repr__(self) -> str:
        return f"Deployment({self.model!r}, {self.base!r})"

    @property
    def origin(self) -> str:
        """The server's own address, without a path."""
        parts = urlsplit(self.base or "")
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def path(self) -> str:
        """What stands before each path of the wire, such as `/v1`."""
        return urlsplit(self.base or "").path.rstrip("/")


def deployment_of(litellm: Foreign, params: Mapping[str, Any], name: str = "") -> Deployment:
    """The deployment that these parameters of LiteLLM's mean. Raises UsageError for a model that it does not know."""
    model = str(params.get("model") or "")
    base, key = params.get("api_base") or params.get("base_url"), params.get("api_key")
    try:
        short, provider, told_key, told_base = litellm.get_llm_provider(
            model=model, api_base=base, api_key=key, custom_llm_provider=params.get("custom_llm_provider")
        )
    except Exception as error:  # LiteLLM raises what its lookup meets
        raise UsageError(f"model {model!r}: LiteLLM knows no such provider; such as hosted_vllm/NAME") from error
    base, key = base or told_base, key or told_key
    if provider in _SDK:
        base = base or litellm.get_secret_str("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        key = key or litellm.get_secret_str("OPENAI_API_KEY")
    if provider in _HANDLED:
        base = base or litellm.get_secret_str("HOSTED_VLLM_API_BASE")
    kind = _kind(provider)
    if kind == "native" and not base:
        raise UsageError(f"model {model!r}: the server's address is needed; give api_base=http://HOST:PORT")
    return Deployment(name or model, model, short, kind, provider in _SDK, base, key)


def _kind(provider: str) -> Kind:
    if provider == NATIVE:
        return "native"
    if provider == "text-completion-openai":
        return "text"
    return "chat" if provider in (*_SDK, *_HANDLED) else "plain"


@dataclass(frozen=True, slots=True)
class Served:
    """What a server of the OpenAI wire says of itself."""

    profile: Profile = OPENAI
    names: tuple[str, ...] = ()
    """Of its models; empty where it does not say."""
    window: int | None = None
    zero: bool = False
    """Whether no word of cached tokens means that there were none."""


async def look(client: Client, path: str, *, wire: Profile | None = None) -> Served:
    """What this server is; `wire`: what the user says it is. Raises EngineUnavailable when it cannot be reached."""
    try:
        listed = await client.ask(f"{path}/models", seconds=10) or {}
        models = [cast("dict[str, Any]", model) for model in listed.get("data") or ()]
    except EngineUnavailable:
        raise
    except EngineError:
        models = []
    profile = wire or profile_of(str(models[0].get("owned_by")) if models else "")
    windows = [int(model["max_model_len"]) for model in models if model.get("max_model_len")]
    names = tuple(str(model["id"]) for model in models if "id" in model)
    return Served(profile, names, min(windows, default=None), profile is SGLANG and await _reports(client))


async def _reports(client: Client) -> bool:
    """Whether a SGLang server runs with --enable-cache-report."""
    try:
        facts = await client.ask("/server_info", seconds=10) or await client.ask("/get_server_info", seconds=10)
    except EngineError:
        return False
    return bool((facts or {}).get("enable_cache_report"))
