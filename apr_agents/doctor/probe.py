"""Two tiny requests, of which the second begins as the first: does the cache serve what they share?"""

from __future__ import annotations

import secrets
from contextlib import suppress

from apr_agents.context import Context, Origin, Segment
from apr_agents.doctor.facts import Probe
from apr_agents.engines.base import Engine, Finish, Message, Request
from apr_agents.errors import EngineError

_LEAST = 128
"""Tokens to share: enough for pages, and for templates to be small beside them."""
_AGAIN = 3
"""How often a router is asked a second time: one that tears runs apart may be lucky once."""


async def probe(engine: Engine, *, routed: bool = False) -> Probe:
    """What the second request finds; both begin with random numbers, which no cache holds yet.

    Raises EngineError when the engine cannot serve a request.
    """
    run_id = secrets.token_hex(8)
    text = _numbers(max(_LEAST, 2 * engine.info.page))
    ids = engine.encode(text, control=False)
    first = await _ask(engine, _context(engine, text, ids), run_id)
    ends = [f" {number}" for number in range(100, 101 + _AGAIN * routed)]
    seconds = [await _ask(engine, _continued(engine, text, ids, end), run_id) for end in ends]
    counts = [finish.usage.cached for finish in seconds]
    known = [count for count in counts if count is not None]
    shared = first.usage.prompt if ids is None else len(ids)
    expected = shared // 2 if ids is None else shared - shared % engine.info.page
    timed = all(None not in (one.timings.queue, one.timings.prefill, one.timings.decode) for one in seconds)
    return Probe(shared, expected, min(known) if len(known) == len(counts) else None, timed)


def _numbers(count: int) -> str:
    """So many numbers, none of which is less than a token."""
    return " ".join(str(100 + secrets.randbelow(900)) for _ in range(count))


def _context(engine: Engine, text: str, ids: tuple[int, ...] | None) -> Context:
    """This text as a prompt: by its ids, as a message, or as it is."""
    if ids is None:
        with suppress(EngineError):
            return engine.prompt((Message("user", text),), {})
    return Context.of(Segment(text, ids, Origin.client))


def _continued(engine: Engine, text: str, ids: tuple[int, ...] | None, end: str) -> Context:
    """The same, and more behind it; where ids are spoken, behind the same ids."""
    if ids is None:
        return _context(engine, text + end, None)
    return _context(engine, text, ids).extend(Segment(end, engine.encode(end, control=False), Origin.client))


async def _ask(engine: Engine, context: Context, run_id: str) -> Finish:
    """How a request for one token ends."""
    async with engine.stream(Request(context, 1, run_id=run_id, watched=False)) as chunks:
        async for chunk in chunks:
            if chunk.finish is not None:
                return chunk.finish
    raise EngineError(f"{engine.info.name}: a request for one token ended without a finish")
