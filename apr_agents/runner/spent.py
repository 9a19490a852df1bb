"""What a part of a run used, by its spans: to book it again when the run is resumed."""

from __future__ import annotations

from collections.abc import Sequence

from apr_agents.trace import Kind, Span

_ASKED = (Kind.decode, Kind.synthesis)


def tokens_of(spans: Sequence[Span]) -> int:
    """Generated tokens, as charged."""
    return sum(span.tokens.generated for span in spans if span.tokens)


def retries_of(spans: Sequence[Span]) -> int:
    """Requests that were sent again."""
    return sum(span.kind is Kind.retry and span.outcome == "done" for span in spans)


def requests_of(spans: Sequence[Span]) -> int:
    """Engine requests, each counted once, however often it was sent and in how many stretches it was kept."""
    asked = (span.tokens for span in spans if span.kind in _ASKED)
    return sum(tokens is None or not tokens.continues for tokens in asked) - retries_of(spans)
