"""The account: a report as a pure function of a trace, in time linear in its spans."""

from __future__ import annotations

from collections.abc import Mapping

from apr_agents.accounting.ahead import Prepared, prepared, untold_saving
from apr_agents.accounting.changes import what_ifs
from apr_agents.accounting.figures import Piece, Report, TokenFigures
from apr_agents.accounting.forks import fork_figures
from apr_agents.accounting.graph import Chain, Graph, graph, longest
from apr_agents.accounting.joins import BlockKey, joins
from apr_agents.accounting.seconds import second_figures, untold_seconds
from apr_agents.accounting.threadweaver import ThreadWeaverFigures, threadweaver
from apr_agents.accounting.totals import token_figures, untold_tokens
from apr_agents.accounting.weights import NO_SECONDS, second_weight, token_weight
from apr_agents.trace import Kind, Trace


def account(trace: Trace) -> Report:
    """Where the tokens and the seconds of this run went, and what would have made it faster."""
    spans = graph(trace)
    in_tokens = longest(spans, [token_weight(span) for span in trace.spans])
    in_seconds = longest(spans, [second_weight(span) for span in trace.spans], NO_SECONDS)
    joined = joins(spans, in_tokens, in_seconds)
    blocks = prepared(spans)
    tokens = token_figures(spans, in_tokens)
    return Report(
        run_id=trace.run_id,
        engine=trace.engine,
        dialect=trace.dialect,
        mode=trace.mode,
        started=trace.started,
        ended=trace.ended,
        tokens=tokens,
        acceleration_ratio=_acceleration(tokens.critical, tokens.generated),
        acceleration_ratio_without_waste=_acceleration(tokens.critical, tokens.generated - tokens.wasted),
        self_parallelism=_parallelism(tokens),
        reuse=_reuse(tokens),
        ahead_saved_seconds=_saved(blocks),
        retries=sum(span.kind is Kind.retry and span.outcome == "done" for span in trace.spans),
        seconds=second_figures(spans, in_seconds, trace.wall),
        forks=fork_figures(trace, spans, joined, blocks, in_tokens, in_seconds),
        threadweaver=_threadweaver(trace),
        what_ifs=what_ifs(spans, joined, in_tokens, in_seconds),
        missing={**_missing(trace, spans, in_seconds, tokens), **untold_saving(blocks)},
        timeline=_timeline(spans, in_seconds),
        notes=trace.notes,
    )


def _acceleration(critical: int, generated: int) -> float:
    return 1 - critical / generated if generated else 0.0


def _parallelism(tokens: TokenFigures) -> float | None:
    """Losers alone may have generated: then nothing divides."""
    if not tokens.generated:
        return 1.0
    return tokens.generated / tokens.critical if tokens.critical else None


def _reuse(tokens: TokenFigures) -> float | None:
    return tokens.reused / tokens.reused_of if tokens.reused is not None and tokens.reused_of else None


def _saved(blocks: Mapping[BlockKey, Prepared]) -> float | None:
    each = [block.saved for block in blocks.values()]
    return None if None in each else sum(seconds or 0.0 for seconds in each)


def _threadweaver(trace: Trace) -> ThreadWeaverFigures | None:
    return None if trace.response is None or trace.tags is None else threadweaver(trace.response, trace.tags)


def _missing(trace: Trace, spans: Graph, in_seconds: Chain, tokens: TokenFigures) -> dict[str, str]:
    found = {**untold_tokens(spans), **untold_seconds(spans, in_seconds)}
    if trace.response is None:
        text = "the engine speaks text, and these figures count ids"
        found["threadweaver"] = (
            text if trace.tags is None else "these figures are of one text, and the run has several or none"
        )
    elif trace.tags is None:
        found["threadweaver"] = "a tag of the dialect is not one token here"
    if _reuse(tokens) is None:
        found["reuse"] = "nothing was reusable" if tokens.reused_of == 0 else found["tokens.reused"]
    if _parallelism(tokens) is None:
        found["self_parallelism"] = "no token was generated on the critical path"
    return found


def _timeline(spans: Graph, in_seconds: Chain) -> tuple[Piece, ...]:
    return tuple(
        Piece(span.path, span.kind, span.start, span.end, span.outcome, place in in_seconds.places)
        for place, span in enumerate(spans.spans)
    )
