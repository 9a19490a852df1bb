"""What happened in a run: spans with known edges between them, and the facts that an account is made from.

The driver alone opens and closes spans; a trace is a value, and everything that a report says is a function of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from apr_agents.errors import TraceError
from apr_agents.paths import BranchPath
from apr_agents.plain import adapter_of

VERSION = 2
"""Of the stored form. 2 added the kinds `retry` and `ahead`."""

READABLE = (1, 2)
"""Versions that load: a trace of version 1 is one of version 2 without those kinds."""


class Kind(StrEnum):
    """What a span's time went to."""

    client = "client"
    """Our own work: encoding, joining."""
    queue = "queue"
    """Waiting for one of the run's concurrent places."""
    decode = "decode"
    """An engine request that does not follow a join; and what of any request follows the start of a call, whose outline
    was complete before the others: that has no prompt of its own."""
    synthesis = "synthesis"
    """An engine request that follows a join: its prefill is the synthesis prefill."""
    ahead = "ahead"
    """An engine request for no new tokens, which evaluates a join's prefix while its slowest branch still decodes. No
    path goes through it: what waits for it is a `wait`."""
    call = "call"
    """A Python function, a tool or a subgraph."""
    retry = "retry"
    """Waiting before a failed request is sent again."""
    wait = "wait"
    """A join that waits for its deadline, or for what is still being evaluated ahead; not for a branch."""
    human = "human"
    """Waiting for a person."""


@dataclass(frozen=True, slots=True)
class Edge:
    """That a span could not start before another had ended."""

    span: str
    kind: Literal["then", "fork", "join", "trigger"]
    """`trigger`: of all joined branches, the one whose end let the join happen (first success, quorum)."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one engine request; None where the engine does not say."""

    prompt: int
    cached: int | None
    """Of the prompt, how many came from the engine's cache, by its own count."""
    reusable: int | None
    """Of the prompt, how many this run had evaluated before, by the contexts themselves."""
    generated: int

    @property
    def continues(self) -> bool:
        """Whether these are of a request whose prompt an earlier span has."""
        return self.prompt == self.reusable == 0


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds of one engine request, by the engine's own account; None where it does not say."""

    queue: float | None
    prefill: float | None
    decode: float | None


@dataclass(frozen=True, slots=True)
class Span:
    """One timed piece of a run."""

    id: str
    """Branch path, `#`, and a count within the branch: `1.2#3`; the run's own are `#1`, `#2`. What is ahead of
    joins has a count of its own, `#ahead1`, so that no other name depends on it."""
    kind: Kind
    path: str
    """The branch that it belongs to; `""` is the run."""
    after: tuple[Edge, ...]
    """All of an earlier place in the trace."""
    start: float
    """Seconds from the start of the run."""
    end: float
    outcome: Literal["done", "length", "failed", "cancelled"]
    """`length`: the engine reached the request's token limit."""
    tokens: Tokens | None = None
    phases: Phases | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """One branch of the run and how it ended."""

    path: str
    number: str
    """As the model numbered it."""
    outline: str
    kind: Literal["reason", "call"]
    outcome: Literal["done", "truncated", "failed", "cancelled", "refused"]
    """`refused`: it was over a bound and never started."""
    joined: bool
    """Whether its text went into the joined context."""
    detail: str = ""
    """Why, for every outcome but `done`."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fork and its join."""

    path: str
    """Of the branch that wrote it."""
    number: int
    """Its place among the blocks of that branch, from 1."""
    rule: str
    """The join rule, as in the settings."""
    trigger: str | None
    """The path of the branch that let the join happen; None: rule `all`, a deadline, or no join."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One run, whole. `Trace.load(trace.dump())` is equal to it."""

    run_id: str
    engine: str
    dialect: str
    mode: Literal["adaptive", "sequential"]
    started: str
    """ISO 8601, UTC."""
    wall: float
    """Seconds from the start of the run to its end."""
    ended: str
    """Why the run ended: `answered`, or the bound or failure that ended it."""
    spans: tuple[Span, ...]
    """Every span after those that it is after."""
    blocks: tuple[Block, ...] = ()
    branches: tuple[Branch, ...] = ()
    response: tuple[int, ...] | None = None
    """The ids of everything behind the prompt, as joined; None on engines that speak text only."""
    tags: dict[str, int] | None = None
    """The ids of the four tags of ThreadWeaver's published figures; None where a tag is not one token."""
    notes: tuple[str, ...] = ()
    """What was repaired or refused on the way, and why a figure is missing."""
    version: int = VERSION

    def dump(self) -> str:
        """This trace as JSON text."""
        return adapter_of(Trace).dump_json(self, indent=1).decode()

    @classmethod
    def load(cls, text: str | bytes) -> Trace:
        """The trace that `dump` wrote. Raises TraceError for anything else."""
        from pydantic import ValidationError

        try:
            trace = adapter_of(Trace).validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the whole"
            raise TraceError(f"not a trace: {place}: {first['msg']}") from error
        if trace.version not in READABLE:
            known = " and ".join(map(str, READABLE))
            raise TraceError(f"a trace of version {trace.version}; this is apr-agents for versions {known}")
        fault = next(_faults(trace), None)
        if fault is not None:
            raise TraceError(f"not a trace of a run: {fault}")
        return trace

    @classmethod
    def read(cls, file: Path) -> Trace:
        """The trace in this file. Raises TraceError that names the file."""
        try:
            return cls.load(file.read_bytes())
        except OSError as error:
            raise TraceError(f"{file}: {error.strerror}") from error
        except TraceError as error:
            raise TraceError(f"{file}: {error}") from error


def _faults(trace: Trace) -> Iterator[str]:
    """Where this trace is not what the driver writes; an account of it would be wrong or would not end."""
    known: set[str] = set()
    for place, span in enumerate(trace.spans):
        yield from (f"spans.{place}{fault}" for fault in _span_faults(span, known))
        known.add(span.id)
    for place, branch in enumerate(trace.branches):
        if not branch.path or not _is_path(branch.path):
            yield f"branches.{place}.path: {branch.path!r} is not the path of a branch, such as '2.3/1.4'"
    for place, block in enumerate(trace.blocks):
        if not _is_path(block.path):
            yield f"blocks.{place}.path: {block.path!r} is not a branch path, such as '2.3/1.4'"
    if not 0 <= trace.wall < math.inf:
        yield f"wall: {trace.wall} s"


def _span_faults(span: Span, known: set[str]) -> Iterator[str]:
    """What is wrong with a span behind those that are known."""
    if span.id != f"{span.path}#{span.id.rpartition('#')[2]}" or not _is_path(span.path):
        yield f".id: {span.id!r} is not a branch path, '#' and a count"
    if span.id in known:
        yield f".id: {span.id!r} is there twice"
    unknown = [edge.span for edge in span.after if edge.span not in known]
    if unknown:
        yield f".after: {unknown[0]!r} is not an earlier span"
    joined = [edge.span for edge in span.after if edge.kind in ("join", "trigger")]
    inside = f"{span.path}/" if span.path else ""
    for other in joined:
        if not other.startswith(inside) or other.startswith("#"):
            yield f".after: {other!r} is not of a branch that could join here"
    if not 0 <= span.start <= span.end < math.inf:
        yield f": it starts at {span.start} s and ends at {span.end} s"
    if span.tokens and span.tokens.prompt < max(span.tokens.cached or 0, span.tokens.reusable or 0):
        yield ".tokens: more of the prompt was cached or reusable than it has"


def _is_path(text: str) -> bool:
    try:
        BranchPath.parse(text)
    except ValueError:
        return False
    return True
