"""Runs whose joins are evaluated ahead: branches that are long enough for it, and what was asked and recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apr_agents.engines.base import Request
from apr_agents.engines.scripted import Reply
from apr_agents.runner import JoinRule, Outcome
from apr_agents.trace import Kind, Span, Trace
from tests.support.scripts import Ran, block, closed

WORDS = 130
"""Of each branch."""
TOKENS = 4 + 2 * WORDS + 1
"""Of a joined branch: its header, words and spaces, and the closing tag."""
AHEAD = JoinRule(ahead=True)


def long(name: str, seconds: float) -> Reply:
    """A branch of enough text to be worth it, which takes so many virtual seconds."""
    return Reply(closed(f" {name}" * WORDS), token_seconds=seconds / (2 * WORDS + 1))


def four(*seconds: float, prefill: float = 0.0) -> dict[str, Any]:
    """A run of four branches that end after these seconds."""
    branches = {f"1.{place}": long("abcd"[place - 1], one) for place, one in enumerate(seconds, 1)}
    return {"": [block("a", "b", "c", "d"), Reply("end", prefill_seconds=prefill)], **branches}


def warmed(done: Ran) -> list[Request]:
    return [request for request in done.engine.requests if request.max_tokens == 0]


def aheads(trace: Trace) -> list[Span]:
    return [span for span in trace.spans if span.kind is Kind.ahead]


def numbers(request: Request) -> str:
    """The branches in a request's context, in their order."""
    return "".join(line[len("<Thread>")] for line in request.context.text.split("\n") if line.startswith("<Thread>"))


def has(letter: str) -> Callable[[Outcome], bool]:
    return lambda outcome: f" {letter} " in outcome.text
