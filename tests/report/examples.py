"""Reports to look at."""

from __future__ import annotations

from dataclasses import replace

from apr_agents.accounting import Report, account
from apr_agents.trace import Kind, Trace
from tests.accounting.examples import call, request, step, synthesis, way
from tests.support.plans import Fork, trace_of


def two_blocks() -> Trace:
    """A block inside a block, a tool, a branch that waits for its place, and a block that the first success joins."""
    inner = Fork((way(request(3, 21, cached=80), outline="Use 26 last"), way(request(8, 70, cached=80))), join=0)
    slow = way(request(5, 44, cached=80), inner, synthesis(2, 16, prefill=1, cached=60), outline="Start with 45 - 27")
    first = Fork(
        (
            way(request(7, 58, cached=80), outline="Start with 26 + 45 and look for a way down"),
            slow,
            way(step(Kind.queue, 2), request(7, 65, cached=70), outline="Multiply first"),
            call(5),
        ),
        join=64,
    )
    checks = Fork(
        (
            way(request(9, 47, cached=80), outline="Check by substitution"),
            way(request(3, 30, cached=80), outline="Check by parity"),
        ),
        "first",
        join=0,
    )
    start = (step(Kind.client, 1), request(5, 61, prefill=1))
    return trace_of(way(*start, first, synthesis(6, 48, prefill=2, cached=80), checks, synthesis(3, 37, cached=80)))


def report(trace: Trace | None = None) -> Report:
    return account(trace or two_blocks())


def with_outline(text: str, trace: Trace | None = None, **changes: object) -> Report:
    """The report of a run whose first branch is named by this text."""
    trace = trace or two_blocks()
    first, *others = trace.branches
    return account(replace(trace, branches=(replace(first, outline=text, **changes), *others)))  # pyright: ignore[reportArgumentType]
