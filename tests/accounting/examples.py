"""Small runs whose accounts can be made by hand. Seconds are whole numbers here."""

from __future__ import annotations

from apr_agents.trace import Kind, Phases, Tokens, Trace
from tests.support.plans import TICK, Fork, Step, Way, trace_of

SECOND = int(1 / TICK)


def request(seconds: int, generated: int, kind: Kind = Kind.decode, *, prefill: int = 0, cached: int = 0) -> Step:
    """An engine request over 100 prompt tokens, 80 of them reusable; its engine tells everything."""
    phases = Phases(queue=0.0, prefill=float(prefill), decode=float(seconds - prefill))
    return Step(kind, seconds * SECOND, Tokens(100, cached, 80, generated), phases)


def synthesis(seconds: int, generated: int, *, prefill: int = 0, cached: int = 0) -> Step:
    return request(seconds, generated, Kind.synthesis, prefill=prefill, cached=cached)


def step(kind: Kind, seconds: int) -> Step:
    return Step(kind, seconds * SECOND)


def call(seconds: int) -> Way:
    return Way((step(Kind.call, seconds),), "call", '@look {"at": 1}')


def way(*items: Step | Fork, outline: str = "") -> Way:
    return Way(items, outline=outline)


def sequential() -> Trace:
    """One second of client, three of decode, of which one is prefill."""
    return trace_of(way(step(Kind.client, 1), request(3, 20, prefill=1)))


def two_branches() -> Trace:
    """The second branch is slower by two seconds; the first one generates more."""
    fork = Fork((way(request(2, 30, cached=80)), way(request(4, 10, cached=60, prefill=1))), join=SECOND)
    return trace_of(way(step(Kind.client, 1), request(2, 20), fork, synthesis(5, 40, prefill=2, cached=70)))


def first_success() -> Trace:
    """The tool is done first and lets the block join; two branches are cancelled after three seconds."""
    fork = Fork((way(request(9, 50)), call(3), way(step(Kind.queue, 1), request(9, 70))), "first", join=0)
    return trace_of(way(request(2, 20), fork, synthesis(1, 5)))


def deadline() -> Trace:
    """One branch is done after two seconds, the other never; the join waits until its deadline after five."""
    fork = Fork((way(request(2, 10)), way(request(99, 50))), "deadline", deadline=5 * SECOND, join=0)
    return trace_of(way(request(1, 20), fork, synthesis(1, 5)))


def nested() -> Trace:
    """Branch 2 forks again: 1 + (2 | 1 + (3 | 7) + 1) + 2 seconds; inside, the lead is 4, outside it is 7."""
    inner = Fork((way(request(3, 3)), way(request(7, 7))), join=0)
    slow = way(request(1, 1), inner, synthesis(1, 1))
    outer = Fork((way(request(2, 2)), slow), join=0)
    return trace_of(way(step(Kind.client, 1), request(1, 10), outer, synthesis(2, 4)))


def cut_off() -> Trace:
    """The run ended inside its block: its critical path ends with the branch that was longest then."""
    fork = Fork((way(request(2, 30)), way(request(4, 10))), unjoined=True)
    return trace_of(way(request(1, 5), fork))
