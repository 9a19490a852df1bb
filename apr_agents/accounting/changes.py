"""What would have made the run faster: how much shorter its critical path is with one thing changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

from apr_agents.accounting.figures import WhatIf
from apr_agents.accounting.graph import Chain, Graph, longest
from apr_agents.accounting.joins import BlockKey, Join
from apr_agents.accounting.weights import evaluated, is_request, waited
from apr_agents.trace import Kind, Span

NOISE = 1e-9
"""Seconds up to which a difference is rounding."""


def what_ifs(graph: Graph, joins: Mapping[BlockKey, Join], in_tokens: Chain, in_seconds: Chain) -> tuple[WhatIf, ...]:
    """Every change that would have shortened a critical path, the most helpful first."""
    found = [
        *_leads(joins, in_tokens, in_seconds),
        WhatIf(
            "reuse", None, "with every reusable token from the cache", _gain(graph, in_seconds, _evaluated_again), 0
        ),
        WhatIf("queue", None, "without waiting for places", _gain(graph, in_seconds, _queued), 0),
        WhatIf("retry", None, "without waiting to send requests again", _gain(graph, in_seconds, _put_off), 0),
    ]
    helpful = (change for change in found if change.seconds > NOISE or change.tokens > 0)
    return tuple(sorted(helpful, key=lambda change: (-change.seconds, -change.tokens, change.words)))


def _leads(joins: Mapping[BlockKey, Join], in_tokens: Chain, in_seconds: Chain) -> Iterator[WhatIf]:
    """For each join, that what it waited for had ended with the one before it."""
    token_room, second_room = _room(joins, in_tokens), _room(joins, in_seconds)
    for (path, number), join in joins.items():
        straggler = join.straggler
        place = join.deadline if straggler is None else join.last[straggler]
        others = join.others(straggler)
        if place is None or not others:
            continue
        seconds = min(second_room.get(path, 0.0), _lead(in_seconds, place, others))
        tokens = int(min(token_room.get(path, 0.0), _lead(in_tokens, place, others)))
        if straggler is None:
            words = f"without the wait for the deadline of block {number}" + (f" of branch {path}" if path else "")
            yield WhatIf("deadline", path, words, seconds, tokens)
        else:
            yield WhatIf("lead", straggler, f"without branch {straggler}'s lead over the next slowest", seconds, tokens)


def _room(joins: Mapping[BlockKey, Join], chain: Chain) -> dict[str, float]:
    """How much a branch can shrink with the run shrinking as much: at most its lead at each join on the way out.

    Branches that are not named have none, and so have those of a block that never joined: had they been faster, the
    run would have gone further. What a first success or a quorum joined for has no bound at its own join.
    """
    room = {"": math.inf}
    for (path, _), join in sorted(joins.items(), key=lambda item: (item[0][0].count("/"), item[0])):
        leader = join.trigger or max(join.last, key=lambda branch: chain.to[join.last[branch]])
        lead = math.inf if join.trigger else _lead(chain, join.last[leader], join.others(leader))
        room[leader] = min(room.get(path, 0.0), lead)
    return room


def _lead(chain: Chain, place: int, others: Iterable[int]) -> float:
    """By how much the chain to this span is longer than those to all the others; 0 when it is not."""
    return max(0.0, chain.to[place][0] - max((chain.to[other][0] for other in others), default=-math.inf))


def _gain(graph: Graph, chain: Chain, saved: Callable[[Span], float]) -> float:
    """By how many seconds the critical path is shorter when each span is by what it saved."""
    savings = [saved(span) for span in graph.spans]
    if not any(savings):
        return 0.0
    rest = [(span.end - span.start - saving,) for span, saving in zip(graph.spans, savings, strict=True)]
    return chain.weight[0] - longest(graph, rest).weight[0]


def _queued(span: Span) -> float:
    if span.kind is Kind.queue:
        return span.end - span.start
    return waited(span) if is_request(span) else 0.0


def _put_off(span: Span) -> float:
    return span.end - span.start if span.kind is Kind.retry else 0.0


def _evaluated_again(span: Span) -> float:
    """Of a request's prefill, the share of tokens that could have come from the cache and did not."""
    tokens = span.tokens
    if tokens is None or tokens.cached is None or tokens.reusable is None or tokens.cached >= tokens.reusable:
        return 0.0
    return evaluated(span) * (tokens.reusable - tokens.cached) / (tokens.prompt - tokens.cached)
