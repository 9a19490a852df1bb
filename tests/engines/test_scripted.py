"""The scripted engine keeps the rules of an engine: stops, limits, ids, its cache's account and its window."""

from __future__ import annotations

import pytest

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Chunk, Finish, Request
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.errors import ContextFull, EngineError
from tests.support.scripts import THREADWEAVER


def _request(engine: ScriptedEngine, text: str = "Q", limit: int = 100, stops: tuple[str, ...] = ()) -> Request:
    ids = engine.encode(text, control=False)
    return Request(Context.of(Segment(text, ids, Origin.client)), limit, stops)


async def _said(engine: ScriptedEngine, request: Request) -> list[Chunk]:
    async with engine.stream(request) as chunks:
        return [chunk async for chunk in chunks]


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("limit", "stops", "text", "reason", "matched"),
    [
        (100, (), "one two three", "stop", None),
        (5, (), "one two three", "length", None),
        (3, (), "one two", "length", None),
        (100, ("two",), "one two", "stop", "two"),
        (3, ("two",), "one two", "stop", "two"),
        (100, ("e t",), "one two", "stop", "e t"),
        (100, ("three", "two"), "one two", "stop", "two"),
    ],
)
async def test_a_reply_is_cut_at_its_stops_and_its_limit(
    chunk: int, limit: int, stops: tuple[str, ...], text: str, reason: str, matched: str | None
) -> None:
    engine = ScriptedEngine({"": "one two three"}, THREADWEAVER, chunk_tokens=chunk)
    chunks = await _said(engine, _request(engine, limit=limit, stops=stops))
    assert "".join(one.text for one in chunks) == text
    finish = chunks[-1].finish
    assert isinstance(finish, Finish)
    assert (finish.reason, finish.matched) == (reason, matched)
    assert all(one.finish is None for one in chunks[:-1])
    ids = [token for one in chunks for token in one.ids or ()]
    assert finish.usage.generated == len(ids) <= limit
    assert engine.open_requests == 0


async def test_tags_are_control_tokens_only_where_they_may_be() -> None:
    engine = ScriptedEngine({"": "<Thread>"}, THREADWEAVER)
    (tag,) = engine.encode("<Thread>", control=True)
    assert engine.encode("<Thread>", control=False) == tuple(
        engine.vocabulary.id_of(piece, control=False) for piece in ("<", "Thread", ">")
    )
    assert tag not in engine.encode("<Thread>", control=False)
    assert (await _said(engine, _request(engine)))[0].ids == (tag,)
    assert ScriptedEngine({}, THREADWEAVER).encode("a <Thread>", control=True) == engine.encode(
        "a <Thread>", control=True
    )


async def test_the_cache_holds_what_was_evaluated_and_not_the_last_token() -> None:
    engine = ScriptedEngine({"": ["one two", "x"]}, THREADWEAVER)
    request = _request(engine, "a b c")
    first = await _said(engine, request)
    ids = tuple(token for chunk in first for token in chunk.ids or ())
    again = Request(request.context.extend(Segment("one two", ids, Origin.generated)), 10)
    finish = (await _said(engine, again))[-1].finish
    assert finish is not None
    assert (finish.usage.prompt, finish.usage.cached) == (5 + 4, 5 + 3)


async def test_what_does_not_fit_the_window_is_refused() -> None:
    engine = ScriptedEngine({"": "x"}, THREADWEAVER, window=10)
    with pytest.raises(ContextFull, match="1 \\+ 10 tokens, and a window of 10"):
        await _said(engine, _request(engine, limit=10))


async def test_an_error_comes_behind_its_text_and_a_script_ends() -> None:
    engine = ScriptedEngine({"": [Reply("half", error="lost")]}, THREADWEAVER)
    with pytest.raises(EngineError, match="lost") as raised:
        await _said(engine, _request(engine))
    assert raised.value.partial == "half"
    with pytest.raises(EngineError, match="has 1 replies for branch '', and was asked once more"):
        await _said(engine, _request(engine))
