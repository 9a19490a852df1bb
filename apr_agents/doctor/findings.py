"""What is wrong with an engine's settings, as a pure function of its facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apr_agents.doctor.facts import Facts, Server

SHARING_POLICIES = ("lpm", "dfs-weight", "hrrn", "shortest-prefill-first")
"""SGLang's scheduling policies that hold siblings back until their shared prefix is evaluated."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A setting that costs prefix hits or figures."""

    name: str
    costs: str
    """What it is and what it costs, in a line."""
    mend: str
    """The flag or option that mends it, and where."""


def findings(facts: Facts) -> tuple[Finding, ...]:
    """All that is wrong, the dearest first."""
    server = [] if facts.server is None else server_findings(facts.server)
    own = [found for check in _CHECKS if (found := check(facts)) is not None]
    named = {finding.name for finding in server}
    if "radix-cache" in named:  # which is why nothing is reused
        own = [finding for finding in own if finding.name != "reuse"]
    if "cache-report" in named:
        own = [finding for finding in own if finding.name != "counts"]
    if "metrics" in named:
        own = [finding for finding in own if finding.name != "timings"]
    return (*server, *own)


def server_findings(server: Server) -> list[Finding]:
    """What a SGLang server's launch settings cost; a setting that is not told is not judged."""
    found = [finding for wrong, finding in _SETTINGS if wrong(server.settings)]
    return [*found, *_page(server.settings), *([_ABORT] if server.admin_key else [])]


def _off(name: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda settings: settings.get(name) is False


def _on(name: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda settings: bool(settings.get(name))


def _shares_nothing(settings: Mapping[str, Any]) -> bool:
    policy = settings.get("schedule_policy")
    return policy is not None and policy not in SHARING_POLICIES


_SETTINGS = (
    (
        _on("disable_radix_cache"),
        Finding(
            "radix-cache",
            "the prefix cache is off: every branch and every join evaluates its whole context",
            "start the server without --disable-radix-cache",
        ),
    ),
    (
        _on("strip_thinking_cache"),
        Finding(
            "thinking-cache",
            "what was generated is dropped from the cache: branches and joins share the prompt only",
            "start the server without --strip-thinking-cache",
        ),
    ),
    (
        _shares_nothing,
        Finding(
            "schedule-policy",
            "siblings that arrive together evaluate their prefix once each, where it is not cached yet",
            "start the server with --schedule-policy lpm",
        ),
    ),
    (
        _off("enable_metrics"),
        Finding(
            "metrics",
            "answers have no seconds of queue, prefill and decode, so a critical path has decode only; no /metrics",
            "start the server with --enable-metrics",
        ),
    ),
    (
        _off("enable_cache_report"),
        Finding(
            "cache-report",
            "cached tokens are not told on the OpenAI endpoints, which LiteLLM uses; the native one counts them anyway",
            "start the server with --enable-cache-report",
        ),
    ),
    (
        _off("incremental_streaming_output"),
        Finding(
            "streaming",
            "each event brings all text and ids so far: a stream costs the square of its tokens",
            "start the server with --incremental-streaming-output",
        ),
    ),
)


_ABORT = Finding(
    "abort-key",
    "aborts need the admin key, so a cancelled request that is not streamed decodes on for seconds",
    "start the server with --api-key alone, without --admin-api-key",
)


def _page(settings: Mapping[str, Any]) -> list[Finding]:
    page = int(settings.get("page_size") or 1)
    if page == 1:
        return []
    costs = f"prefixes are shared in pages of {page}: each branch evaluates up to {page - 1} tokens again"
    return [Finding("page-size", costs, "start the server with --page-size 1, where its attention backend allows that")]


def _template(facts: Facts) -> Finding | None:
    if facts.template is None:
        return None
    costs = f"no run can start: {facts.template}"
    return Finding("template", costs, "give the model's chat template: --engine-option chat_template=FILE.jinja")


def _reuse(facts: Facts) -> Finding | None:
    probe = facts.probe
    if probe.cached is None or probe.cached >= probe.expected:
        return None
    costs = f"of {probe.shared} tokens that two requests share, the second found {probe.cached} in the cache"
    if facts.server is not None and facts.server.router:
        return Finding("reuse", costs, "start the router with --policy manual, so that a run stays on a worker")
    return Finding("reuse", costs, "turn on the server's prefix cache, or give it memory for one")


def _counts(facts: Facts) -> Finding | None:
    if facts.probe.cached is not None:
        return None
    return Finding(
        "counts",
        "the server does not say how many tokens came from its cache, so reuse is not known",
        "start it with --enable-cache-report (SGLang) or --enable-prompt-tokens-details (vLLM)",
    )


def _timings(facts: Facts) -> Finding | None:
    if facts.wire != "native" or facts.probe.timed:
        return None
    return Finding(
        "timings",
        "answers have no seconds of queue, prefill and decode, so a critical path has decode only",
        "start every server with --enable-metrics",
    )


def _special(facts: Facts) -> Finding | None:
    if facts.shows_special or not facts.dialect.trained:
        return None
    return Finding(
        "special-tokens",
        "the server leaves special tokens out of its text, and control tags with them: the model cannot fork",
        "say what it is and give its tokenizer: --engine-option wire=sglang --engine-option tokenizer=FOLDER",
    )


_CHECKS = (_template, _reuse, _special, _counts, _timings)
