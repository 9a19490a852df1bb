"""What is known of an engine: one frozen value, from which everything that is said of it follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from apr_agents.engines.base import EngineInfo

Wire = Literal["process", "native", "text", "chat"]
"""Function calls; SGLang's native endpoint, which speaks ids; text completions and chats as OpenAI has them."""


@dataclass(frozen=True, slots=True)
class Server:
    """A SGLang server, or a router with what its first worker says, wherever in the chain it stands."""

    url: str
    version: str | None
    cache_tokens: int | None
    """Tokens that its cache holds."""
    router: bool
    workers: int
    """How many a router has; 0 for a server."""
    settings: Mapping[str, Any]
    """Those of its launch settings that matter here, by their own names; empty where they are not told."""
    admin_key: bool = False
    """Whether it has an admin key, without which it then takes no aborts."""


@dataclass(frozen=True, slots=True)
class Process:
    """An engine in this process."""

    file: str
    threads: int
    cache_tokens: int
    sequences: int
    """Requests served at once and prefixes kept."""
    exact: bool
    """Attention whose result does not depend on what else is cached, in place of flash attention."""


@dataclass(frozen=True, slots=True)
class DialectFacts:
    """How a model takes to a dialect."""

    name: str
    trained: bool
    """Otherwise a system prompt teaches it."""
    tags: Mapping[str, int | None]
    """In how many tokens each control tag is written; None where the engine speaks text only."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a second request with the beginning of a first one found in the cache."""

    shared: int
    """Tokens that both begin with, by the ids, or by the server's own count of the first."""
    expected: int
    """How many of them should come from the cache: whole pages; half of them where ids are not known exactly."""
    cached: int | None
    """By the engine's own count; of several second requests the lowest. None: it does not say."""
    timed: bool
    """Whether the engine told the seconds of queue, prefill and decode."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an engine."""

    spec: str
    """As it was asked for."""
    info: EngineInfo
    wire: Wire
    ids: str
    """Where ids come from, in a line."""
    template: str | None
    """Why no prompt can be made; None: it can."""
    dialect: DialectFacts
    probe: Probe
    shows_special: bool = True
    """Whether special tokens are asked for as text, as a trained model's control tags may be."""
    server: Server | None = None
    """None: no SGLang server, as far as can be seen."""
    process: Process | None = None
