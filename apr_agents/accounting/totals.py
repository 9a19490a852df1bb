"""Token figures over all requests of a run. A request may not tell a number: then the figure is of those that do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from apr_agents.accounting.figures import TokenFigures
from apr_agents.accounting.graph import Chain, Graph, wasted
from apr_agents.trace import Kind, Tokens


def token_figures(graph: Graph, chain: Chain) -> TokenFigures:
    """The sums over all requests; `chain` is the longest one in tokens. None: no request tells."""
    requests = [span.tokens for span in graph.spans if span.tokens]
    lost = (graph.spans[place].tokens for place in wasted(graph))
    told = {name: _sum(numbers) for name, numbers in _columns(graph).items()}
    return TokenFigures(
        generated=sum(tokens.generated for tokens in requests),
        critical=int(chain.weight[0]),
        wasted=sum(tokens.generated for tokens in lost if tokens),
        prompt=sum(tokens.prompt for tokens in requests),
        cached=told["cached"],
        reusable=told["reusable"],
        reused=told["reused"],
        reused_of=told["reused_of"],
        prefilled=told["prefilled"],
        join_prefill=told["join_prefill"],
        ahead=told["ahead"],
    )


def untold_tokens(graph: Graph) -> dict[str, str]:
    """By figure, how many requests do not tell it, where some do not."""
    found = {f"tokens.{name}": untold(numbers) for name, numbers in _columns(graph).items()}
    return {name: reason for name, reason in found.items() if reason}


def untold(numbers: Sequence[float | None]) -> str:
    """That some of these numbers, one a request, are not known; empty when all are."""
    silent = sum(number is None for number in numbers)
    return f"{silent} of {len(numbers)} engine requests do not tell" if silent else ""


def _columns(graph: Graph) -> Mapping[str, list[int | None]]:
    requests = [(span.kind, span.tokens) for span in graph.spans if span.tokens and not span.tokens.continues]
    return {
        "cached": [tokens.cached for _, tokens in requests],
        "reusable": [tokens.reusable for _, tokens in requests],
        "reused": [_reused(tokens) for _, tokens in requests],
        "reused_of": [None if _reused(tokens) is None else tokens.reusable for _, tokens in requests],
        "prefilled": [prefilled(tokens) for _, tokens in requests],
        "join_prefill": [prefilled(tokens) for kind, tokens in requests if kind is Kind.synthesis],
        "ahead": [prefilled(tokens) for kind, tokens in requests if kind is Kind.ahead],
    }


def _reused(tokens: Tokens) -> int | None:
    """An engine may have cached more than this run evaluated: what earlier runs left there is not this run's reuse."""
    return None if tokens.cached is None or tokens.reusable is None else min(tokens.cached, tokens.reusable)


def prefilled(tokens: Tokens) -> int | None:
    """Tokens of the prompt that were evaluated; None where the engine does not tell."""
    return None if tokens.cached is None else tokens.prompt - tokens.cached


def _sum(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known or not numbers else None
