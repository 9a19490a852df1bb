"""What a SGLang server says of itself, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apr_agents.engines.sglang.client import Address, Client
from apr_agents.errors import EngineError, EngineUnavailable


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A server, or a router with what its first worker says. None: the server does not say."""

    url: str
    model: str
    """The name under which the model is served."""
    model_path: str
    tokenizer_path: str
    router: bool
    """Whether this is a router: it takes no aborts, and which worker serves a request is its choice."""
    workers: tuple[str, ...] = ()
    """The addresses of a router's workers."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The server's launch settings by their own names, such as `schedule_policy`; empty where they are not told."""
    window: int | None = None
    """Tokens of context that one request may have."""

    @property
    def version(self) -> str | None:
        return self.settings.get("version")

    @property
    def page(self) -> int:
        """Tokens of a cache page; 1 where it is not told."""
        return int(self.settings.get("page_size") or 1)

    @property
    def cache_tokens(self) -> int | None:
        """Tokens that the cache holds in all."""
        return self.settings.get("max_total_num_tokens")


async def look(client: Client) -> ServerFacts:
    """The facts of the server behind this client. Raises EngineUnavailable when it is no SGLang server."""
    url = client.address.url
    try:
        model = await client.ask("/get_model_info")
        settings = await client.ask("/server_info")
        listed = await client.ask("/v1/models")
        workers = await _workers(client) if settings is None else ()
    except EngineError as error:
        if isinstance(error, EngineUnavailable):
            raise
        raise EngineUnavailable(f"{url} does not answer as a SGLang server does: {error}") from error
    if model is None or "model_path" not in model:
        raise EngineUnavailable(f"{url} is no SGLang server: it has no /get_model_info; is the address right?")
    router = settings is None
    if settings is None:
        settings = await _first(workers, client.address)
    return ServerFacts(
        url=url,
        model=str(model.get("served_model_name") or model["model_path"]),
        model_path=str(model["model_path"]),
        tokenizer_path=str(model.get("tokenizer_path") or model["model_path"]),
        router=router,
        workers=workers,
        settings=settings,
        window=_window(listed or {}, settings),
    )


async def _workers(client: Client) -> tuple[str, ...]:
    listed = await client.ask("/workers") or {}
    return tuple(str(worker["url"]).rstrip("/") for worker in listed.get("workers", ()) if "url" in worker)


async def _first(workers: tuple[str, ...], router: Address) -> dict[str, Any]:
    """The settings of the first worker that can be reached from here; they are of one kind."""
    for url in workers:
        try:
            async with Client(Address(url, router.key)) as worker:
                settings = await worker.ask("/server_info", seconds=5)
                models = await worker.ask("/v1/models", seconds=5)
        except EngineError:
            continue
        if settings is not None:
            return {**settings, "apr_window": _window(models or {}, {})}
    return {}


def _window(models: Mapping[str, Any], settings: Mapping[str, Any]) -> int | None:
    """The model's own length, or what the whole cache holds where that is less."""
    lengths = [model.get("max_model_len") for model in models.get("data", ())]
    known = [*lengths, settings.get("apr_window"), settings.get("max_total_num_tokens")]
    return min((int(length) for length in known if length), default=None)
