"""What is said of an engine: lines for people, one object for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from apr_agents.doctor.facts import Facts, Server
from apr_agents.doctor.findings import SHARING_POLICIES, Finding

_UNKNOWN = "unknown: it does not say"


def as_object(facts: Facts, found: Sequence[Finding]) -> dict[str, Any]:
    """The one object of `--json`; it holds no key of a server."""
    return {"ok": not found, "findings": [asdict(finding) for finding in found], "facts": asdict(facts)}


def lines(facts: Facts) -> Iterator[tuple[str, str]]:
    """A word and what there is to say under it, each."""
    info = facts.info
    yield "engine", info.name
    if facts.process is not None:
        process = facts.process
        attention = "exact attention" if process.exact else "flash attention: what else is cached moves logits by 0.1"
        yield "file", process.file
        yield "process", f"{_threads(process.threads)} · {process.sequences} sequences · {attention}"
        yield "cache", f"{process.cache_tokens:,} tokens"
    if facts.server is not None:
        yield from _server_lines(facts.server)
    window = _UNKNOWN if info.window is None else f"{info.window:,} tokens"
    yield "window", window if info.page == 1 else f"{window}, shared in pages of {info.page}"
    yield "ids", facts.ids
    yield "template", "the model's chat template works" if facts.template is None else facts.template
    yield "dialect", _dialect(facts)
    yield "ahead", "takes requests that only fill its cache" if info.warms else "takes none that only fill its cache"
    yield from _measured(facts)


def _server_lines(server: Server) -> Iterator[tuple[str, str]]:
    version = f"SGLang {server.version}" if server.version else "SGLang of an unknown version"
    if server.router:
        yield "server", f"{server.url}, a router over {server.workers} servers; the first one says: {version}"
        yield "cancel", "by closing streams, since a router takes no aborts; so every request is streamed"
    else:
        yield "server", f"{server.url}, {version}"
        yield "cancel", "by aborts and by closing streams"
    if server.cache_tokens is not None:
        yield "cache", f"{server.cache_tokens:,} tokens"
    settings = server.settings
    if not settings:
        yield "settings", "unknown: no server behind the router is reached from here"
        return
    policy = settings.get("schedule_policy")
    shares = "holds siblings back for their prefix" if policy in SHARING_POLICIES else "knows of no prefix"
    yield "schedule", f"{policy}: {shares}"
    yield "streams", "bring what is new" if settings.get("incremental_streaming_output") else "bring all text so far"


def _dialect(facts: Facts) -> str:
    dialect = facts.dialect
    trained = "the model was trained on it" if dialect.trained else "a system prompt teaches it"
    counts = dialect.tags.values()
    if None in counts:
        return f"{dialect.name}: {trained}; tags go out as text"
    split = [f"{tag} is {count}" for tag, count in dialect.tags.items() if count != 1]
    if not split:
        return f"{dialect.name}: {trained}; each of its {len(counts)} tags is one token"
    return f"{dialect.name}: {trained}; {len(split)} of its {len(counts)} tags are several tokens, such as {split[0]}"


def _measured(facts: Facts) -> Iterator[tuple[str, str]]:
    probe = facts.probe
    counts = "cached tokens" if probe.cached is not None else "no cached tokens"
    yield "counts", f"{counts} · {'' if probe.timed else 'no '}seconds of queue, prefill and decode"
    if probe.cached is None:
        yield "reuse", _UNKNOWN
    elif probe.expected < probe.shared // 2 + 1:
        yield "reuse", f"{probe.cached} tokens cached where about {probe.shared} are shared"
    else:
        yield "reuse", f"{probe.cached} of {probe.shared} shared tokens came from the cache"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
