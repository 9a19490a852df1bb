"""What one run of the fork and join benchmark is worth, and what all of them together say."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from apr_agents import RunResult, account
from apr_agents.trace import Kind, Span
from benchmarks.figure import Figure, spread

Way = Literal["sequence", "forked", "again", "forked respelled", "again respelled"]
"""`again`: text encoded again at every phase. `respelled`: some tokens are not those that an encoder would choose."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run."""

    wall: float
    """Seconds."""
    short_fork: int | None
    """Of the branch served worst, tokens that should have been cached and were not; None: the engine does not say."""
    short_join: int | None
    """The same of the join."""
    reuse: float | None
    """Cached over reusable tokens of the run."""
    own: float | None
    """Seconds of queue, prefill and decode on the critical path, by the engine's own account."""


Round = dict[Way, Measured]
Rounds = Mapping[int, Sequence[Round]]
"""By number of branches."""


def measured(result: RunResult, headers: Sequence[int]) -> Measured:
    """The figures of a run; `headers`: tokens of each branch's header."""
    report = account(result.trace)
    branches = [span for span in result.trace.spans if span.path and span.kind is Kind.decode]
    joins = [span for span in result.trace.spans if span.kind is Kind.synthesis]
    forks = [_short(span, _prompt(span) - header - 1) for span, header in zip(branches, headers, strict=False)]
    joined = [_short(span, _prompt(branches[0]) + _generated(branches[0]) - 1) for span in joins]
    critical = [span for span, piece in zip(result.trace.spans, report.timeline, strict=True) if piece.critical]
    return Measured(result.trace.wall, _worst(forks), _worst(joined), report.reuse, _own(critical))


def figures(name: str, page: int, rounds: Rounds) -> list[Figure]:
    """All figures of an engine, with least, median and greatest for each number of branches."""
    return [
        _shortfall(f"{name}: uncached tokens of a branch's prefix", page, rounds, lambda one: one.short_fork),
        _shortfall(f"{name}: uncached tokens of a join's prefix", page, rounds, lambda one: one.short_join),
        _reuse(f"{name}: reuse", rounds, "forked", 0.99),
        _reuse(f"{name}: reuse, respelled", rounds, "forked respelled", 0.99),
        _reuse(f"{name}: reuse, text encoded again", rounds, "again", None),
        _reuse(f"{name}: reuse, respelled, text encoded again", rounds, "again respelled", None),
        _walls(f"{name}: time in sequence, of fork and join", rounds, "sequence", "forked"),
        _walls(f"{name}: time with text encoded again", rounds, "again", "forked"),
        _walls(f"{name}: time with text encoded again, respelled", rounds, "again respelled", "forked respelled"),
        *_own_ratio(name, rounds),
    ]


def markdown(name: str, rounds: Rounds) -> None:
    """The medians by number of branches, as a table for a document."""
    head = (
        "branches",
        "reuse",
        "encoded again",
        "respelled, encoded again",
        "sequence ÷ ours",
        "again ÷ ours",
        "wall ÷ engine's own",
    )
    print(f"\n{name}", "| " + " | ".join(head) + " |", "| --- " * len(head) + "|", sep="\n", file=sys.stderr)
    for count, taken in rounds.items():
        cells = (
            str(count),
            *(_median([one[way].reuse for one in taken]) for way in _REUSES),
            _median([one["sequence"].wall / one["forked"].wall for one in taken]),
            _median([one["again respelled"].wall / one["forked respelled"].wall for one in taken]),
            _median([_over_own(one) for one in taken]),
        )
        print("| " + " | ".join(cells) + " |", file=sys.stderr)


_REUSES: tuple[Way, ...] = ("forked respelled", "again", "again respelled")
_AT = 8
"""The number of branches whose median stands for a ratio of times; each number's is in the detail."""


def _shortfall(name: str, page: int, rounds: Rounds, of: Callable[[Measured], int | None]) -> Figure:
    ways: tuple[Way, ...] = ("forked", "forked respelled")
    found = [of(one[way]) for taken in rounds.values() for one in taken for way in ways]
    told = [short for short in found if short is not None]
    detail = f"the worst of {len(told)} runs of {_counts(rounds)} branches, pages of {page}"
    return Figure(name, max(told, default=float("nan")), "", page - 1, "lower", detail)


def _reuse(name: str, rounds: Rounds, way: Way, bound: float | None) -> Figure:
    by_count = {count: [one[way].reuse for one in taken] for count, taken in rounds.items()}
    told = [value for values in by_count.values() for value in values if value is not None]
    value = (min if bound else statistics.median)(told) if told else float("nan")
    return Figure(name, value, "", bound, "higher", _spreads(by_count))


def _walls(name: str, rounds: Rounds, over: Way, under: Way) -> Figure:
    by_count = {count: [one[over].wall / one[under].wall for one in taken] for count, taken in rounds.items()}
    return _ratio(name, by_count, None)


def _own_ratio(name: str, rounds: Rounds) -> list[Figure]:
    by_count = {count: [_over_own(one) for one in taken] for count, taken in rounds.items()}
    if all(value is None for values in by_count.values() for value in values):
        return []
    bound = 1.05 if name == "sglang" else None
    return [_ratio(f"{name}: wall over the engine's own critical path", by_count, bound)]


def _ratio(name: str, by_count: Mapping[int, Sequence[float | None]], bound: float | None) -> Figure:
    at = _AT if _AT in by_count else max(by_count)
    told = [value for value in by_count[at] if value is not None]
    detail = f"median of {at} branches; {_spreads(by_count)}"
    return Figure(name, statistics.median(told), "x", bound, "lower", detail)


def _over_own(taken: Round) -> float | None:
    forked = taken["forked"]
    return forked.wall / forked.own if forked.own else None


def _spreads(by_count: Mapping[int, Sequence[float | None]]) -> str:
    told = {count: [value for value in values if value is not None] for count, values in by_count.items()}
    return "; ".join(f"{count}: {spread(values) if values else 'not told'}" for count, values in told.items())


def _median(values: Sequence[float | None]) -> str:
    told = [value for value in values if value is not None]
    return f"{statistics.median(told):.3g}" if told else ""


def _counts(rounds: Rounds) -> str:
    return f"{min(rounds)} to {max(rounds)}" if len(rounds) > 1 else str(min(rounds))


def _prompt(span: Span) -> int:
    return span.tokens.prompt if span.tokens else 0


def _generated(span: Span) -> int:
    return span.tokens.generated if span.tokens else 0


def _short(span: Span, should: int) -> int | None:
    cached = span.tokens.cached if span.tokens else None
    return None if cached is None else max(0, should - cached)


def _worst(shorts: Sequence[int | None]) -> int | None:
    told = [short for short in shorts if short is not None]
    return max(told) if told else None


def _own(critical: Sequence[Span]) -> float | None:
    """Seconds that the engine says these took; None where it does not say."""
    phases = [span.phases for span in critical if span.tokens]
    seconds = [second for one in phases if one for second in (one.queue, one.prefill, one.decode)]
    told = [second for second in seconds if second is not None]
    return sum(told) if told and len(told) == 3 * len(phases) else None
