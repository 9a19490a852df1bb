"""Seconds of a run by what they went to, along its critical path."""

from __future__ import annotations

from apr_agents.accounting.figures import KindSeconds, SecondFigures
from apr_agents.accounting.graph import Chain, Graph
from apr_agents.accounting.totals import untold
from apr_agents.accounting.weights import Part, is_request
from apr_agents.trace import Kind, Span


def second_figures(graph: Graph, chain: Chain, wall: float) -> SecondFigures:
    """The wall time as the longest chain in seconds, by kind, and the rest. Phases that no request tells are None."""
    weight = chain.weight
    kinds = KindSeconds(
        client=weight[Part.client],
        queue=weight[Part.queue],
        prefill=None if _silent(_prefills(graph, chain, Kind.decode)) else weight[Part.prefill],
        decode=weight[Part.decode],
        tool=weight[Part.tool],
        join_wait=weight[Part.join_wait],
        synthesis=None if _silent(_prefills(graph, chain, Kind.synthesis)) else weight[Part.synthesis],
        human=weight[Part.human],
        retry=weight[Part.retry],
    )
    return SecondFigures(wall, weight[Part.total], wall - weight[Part.total], kinds)


def untold_seconds(graph: Graph, chain: Chain) -> dict[str, str]:
    """By kind, how many requests on the longest chain do not tell its seconds, where some do not."""
    queues = [span.phases.queue if span.phases else None for span in _requests(graph, chain)]
    found = {
        "queue": untold(queues),
        "prefill": untold(_prefills(graph, chain, Kind.decode)),
        "synthesis": untold(_prefills(graph, chain, Kind.synthesis)),
    }
    return {f"seconds.by_kind.{kind}": f"{reason}: in decode" for kind, reason in found.items() if reason}


def _prefills(graph: Graph, chain: Chain, kind: Kind) -> list[float | None]:
    spans = (span for span in _requests(graph, chain) if span.kind is kind)
    return [span.phases.prefill if span.phases else None for span in spans]


def _requests(graph: Graph, chain: Chain) -> list[Span]:
    spans = (graph.spans[place] for place in sorted(chain.places))
    return [span for span in spans if is_request(span) and not (span.tokens and span.tokens.continues)]


def _silent(phases: list[float | None]) -> bool:
    return bool(phases) and all(phase is None for phase in phases)
