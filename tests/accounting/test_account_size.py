"""Large runs: time linear in the spans, and no recursion."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from apr_agents.accounting import Report, account
from apr_agents.report.text import plain
from apr_agents.trace import Block, Branch, Edge, Kind, Span, Tokens, Trace
from tests.accounting.examples import request, step, synthesis, way
from tests.support.plans import Fork, trace_of


def wide(branches: int) -> Trace:
    """One block of so many branches."""
    fork = Fork(tuple(way(step(Kind.queue, 1), request(2, place % 50)) for place in range(branches)))
    return trace_of(way(request(1, 10), fork, synthesis(2, 20)))


def long(blocks: int) -> Trace:
    """So many blocks of two branches, one after the other."""
    pair = Fork((way(request(1, 1)), way(request(2, 2))))
    return trace_of(way(request(1, 1), *(item for _ in range(blocks) for item in (pair, synthesis(1, 1)))))


def deep(levels: int) -> Trace:
    """Two branches at each level, of which the second one forks again; written without recursion."""
    ways = ["/".join(["1.2"] * level) for level in range(levels + 1)]
    sides = [f"{way}/1.1".lstrip("/") for way in ways[:-1]]
    down: list[Span] = []
    for level, (path, side) in enumerate(zip(ways, [*sides, ""], strict=True)):
        down.append(_span(f"{path}#1", level, [Edge(f"{ways[level - 1]}#1", "fork")] if level else []))
        if side:
            down.append(_span(f"{side}#1", level + 1, [Edge(f"{path}#1", "fork")]))
    up: list[Span] = []
    for level in reversed(range(levels)):
        last = f"{ways[level + 1]}#{1 if level == levels - 1 else 2}"
        up.append(
            _span(f"{ways[level]}#2", 2 * levels - level, [Edge(f"{sides[level]}#1", "join"), Edge(last, "join")])
        )
    plain = trace_of(way(request(1, 1)))
    return replace(
        plain,
        wall=2.0 * levels + 1,
        spans=(*down, *up),
        blocks=tuple(Block(path, 1, "all", None) for path in ways[:-1]),
        branches=tuple(Branch(path, path[-1], "", "reason", "done", joined=True) for path in (*ways[1:], *sides)),
    )


def _span(name: str, start: int, after: list[Edge]) -> Span:
    return Span(name, Kind.decode, name.partition("#")[0], tuple(after), start, start + 1, "done", Tokens(10, 9, 9, 1))


def timed(trace: Trace) -> tuple[Report, float]:
    start = time.process_time()
    return account(trace), time.process_time() - start


def test_a_thousand_branches_take_less_than_a_second() -> None:
    report, seconds = timed(wide(1000))
    assert len(report.forks[0].branches) == 1000
    assert seconds < 1


@pytest.mark.parametrize("make", [wide, long])
def test_time_is_linear_in_the_spans(make: Callable[[int], Trace]) -> None:
    small, large = make(200), make(1600)
    assert min(timed(large)[1] for _ in range(2)) < 3 * 8 * max(timed(small)[1] for _ in range(3))


def test_a_thousand_levels_need_no_stack() -> None:
    levels = 1000
    report, seconds = timed(deep(levels))
    assert report.seconds.critical == report.tokens.critical == 2 * levels + 1
    assert len(report.forks) == levels
    assert report.forks[-1].path == "/".join(["1.2"] * (levels - 1))
    assert seconds < 2
    assert len(plain(report).splitlines()) < 50


def test_a_deep_trace_is_stored_and_read() -> None:
    trace = deep(100)
    assert Trace.load(trace.dump()) == trace
