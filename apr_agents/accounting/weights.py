"""What a span adds to a chain: its generated tokens, or its seconds split by what they went to."""

from __future__ import annotations

from enum import IntEnum

from apr_agents.accounting.graph import Weight
from apr_agents.trace import Kind, Span


class Part(IntEnum):
    """The places of a span's seconds in its weight; those behind `total` sum to it."""

    total = 0
    client = 1
    queue = 2
    prefill = 3
    decode = 4
    tool = 5
    join_wait = 6
    synthesis = 7
    human = 8
    retry = 9


NO_SECONDS: Weight = (0.0,) * len(Part)

_WHOLE = {
    Kind.client: Part.client,
    Kind.queue: Part.queue,
    Kind.call: Part.tool,
    Kind.wait: Part.join_wait,
    Kind.human: Part.human,
    Kind.retry: Part.retry,
}
"""The kinds that are not engine requests: all their seconds go to one thing."""


def is_request(span: Span) -> bool:
    """Whether an engine was asked."""
    return span.kind in (Kind.decode, Kind.synthesis, Kind.ahead)


def token_weight(span: Span) -> Weight:
    return (span.tokens.generated if span.tokens else 0,)


def second_weight(span: Span) -> Weight:
    """Seconds in all, then by `Part`. What an engine does not tell of a request stays in its decode."""
    seconds = list(NO_SECONDS)
    seconds[Part.total] = span.end - span.start
    if not is_request(span):
        seconds[_WHOLE[span.kind]] = span.end - span.start
        return tuple(seconds)
    queue, prefill = waited(span), evaluated(span)
    seconds[Part.queue] = queue
    seconds[Part.synthesis if span.kind is Kind.synthesis else Part.prefill] = prefill
    seconds[Part.decode] = span.end - span.start - queue - prefill
    return tuple(seconds)


def waited(span: Span) -> float:
    """Seconds that a request waited in its engine, as far as the engine tells, and never more than it took."""
    return _within(span.phases.queue if span.phases else None, span.end - span.start)


def evaluated(span: Span) -> float:
    """Seconds that a request's prefill took, as far as the engine tells, and never more than is left."""
    return _within(span.phases.prefill if span.phases else None, span.end - span.start - waited(span))


def _within(phase: float | None, limit: float) -> float:
    return min(max(phase or 0.0, 0.0), limit)
