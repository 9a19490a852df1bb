"""Random well-formed traces: nested forks, calls, losers, deadlines, runs that end inside a block, silent engines.

Each span is drawn as one integer whose mixed-radix digits are its numbers: a tenth of the time of a draw per number,
and smaller integers are still simpler spans.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from apr_agents.trace import Kind, Phases, Tokens, Trace
from tests.support.plans import TICK, Fork, Step, Way, trace_of

TAGS = {"<Parallel>": 1, "</Parallel>": 2, "<Thread>": 3, "</Thread>": 4}

_numbers = st.integers(0, 2**48 - 1)
_waits = (Kind.client, Kind.queue, Kind.human, Kind.retry)
_rules = ("all", "first", "quorum", "deadline")


@st.composite
def plans(draw: st.DrawFn, depth: int = 2) -> Way:
    """A whole run; depth 0: without a fork."""
    plan = draw(ways(depth))
    ending = (draw(forks(depth, unjoined=True)),) if depth and draw(st.integers(0, 9)) == 9 else ()
    return Way((*plan.items, *ending))


@st.composite
def ways(draw: st.DrawFn, depth: int) -> Way:
    """A branch that waits, decodes and, `depth` levels deep at most, forks."""
    items: list[Step | Fork] = [draw(_numbers.map(_wait)), draw(_numbers.map(_decode))]
    for _ in range(draw(st.integers(0, 2)) if depth else 0):
        items += [draw(forks(depth)), draw(_numbers.map(_synthesis))]
    return Way(tuple(items), outline=f"line {len(items)}")


@st.composite
def forks(draw: st.DrawFn, depth: int, unjoined: bool = False) -> Fork:
    """A block of one to three branches with any join rule."""
    branches = draw(st.lists(_calls | ways(depth - 1), min_size=1, max_size=3))
    rule, deadline, join = _digits(draw(_numbers), len(_rules), 64, 4)
    ahead = draw(st.none() | _numbers.map(_ahead))
    return Fork(tuple(branches), _rules[rule], deadline, join, unjoined, ahead)


@st.composite
def traces(draw: st.DrawFn, depth: int = 2) -> Trace:
    """The trace of a random run."""
    response = draw(st.none() | st.lists(st.integers(0, 6), max_size=30).map(tuple))
    return trace_of(draw(plans(depth)), response, draw(st.none() | st.just(TAGS)))


def _call(number: int) -> Way:
    ticks, gap = _digits(number, 64, 4)
    return Way((Step(Kind.call, ticks, gap=gap),), "call", "@look {}")


_calls = _numbers.map(_call)


def _wait(number: int) -> Step:
    kind, ticks, gap = _digits(number, len(_waits), 64, 4)
    return Step(_waits[kind], ticks, gap=gap)


def _decode(number: int) -> Step:
    return _request(Kind.decode, number)


def _synthesis(number: int) -> Step:
    return _request(Kind.synthesis, number)


def _ahead(number: int) -> Step:
    step = _request(Kind.ahead, number)
    return replace(step, tokens=step.tokens and replace(step.tokens, generated=0))


def _request(kind: Kind, number: int) -> Step:
    """An engine request; whatever an engine may keep to itself can be missing, and a phase can be too long."""
    generated, ticks, gap, prompt, cached, reusable, queue, prefill = _digits(number, 50, 64, 4, 100, 120, 120, 70, 70)
    tokens = Tokens(prompt + 1, _at_most(cached, prompt), _at_most(reusable, prompt), generated)
    phases = Phases(_seconds(queue), _seconds(prefill), None) if number % 5 else None
    return Step(kind, ticks, tokens, phases, gap)


def _at_most(number: int, limit: int) -> int | None:
    return None if number >= 100 else min(number, limit)


def _seconds(ticks: int) -> float | None:
    return None if ticks >= 65 else ticks * TICK


def _digits(number: int, *bases: int) -> list[int]:
    digits: list[int] = []
    for base in bases:
        number, digit = divmod(number, base)
        digits.append(digit)
    return digits
