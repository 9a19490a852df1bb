"""Who may open a block: 200 payloads by prompt, function result and branch text start no branch, no control token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from apr_agents.context import Context, Origin
from apr_agents.dialects import dialect_names, load_dialect
from apr_agents.engines.base import Request
from apr_agents.engines.scripted import ScriptedEngine
from apr_agents.glue import neutralise, restore
from apr_agents.runner import Budget, Function, Settings, run
from tests.security.payloads import PAYLOADS
from tests.support.scripts import THREADWEAVER, block, check, closed, ran


def control_ids(engine: ScriptedEngine, context: Context, *origins: Origin) -> set[int]:
    """The control tokens in what these origins wrote."""
    ids = {token for segment in context.segments if segment.origin in origins for token in segment.ids or ()}
    return ids & set(engine.vocabulary.tags.values())


@pytest.mark.parametrize("name", [name for name in dialect_names() if load_dialect(name).reads])
async def test_no_prompt_opens_a_block(name: str) -> None:
    chosen = load_dialect(name)
    for payload in PAYLOADS:
        engine = ScriptedEngine({"": "no"}, chosen)
        result = await run(engine, payload, Settings(chosen))
        assert (result.trace.branches, len(engine.requests)) == ((), 1)
        assert not control_ids(engine, engine.requests[0].context, Origin.client)
        assert engine.requests[0].context.text == f"{payload}\n"


async def test_no_function_result_opens_a_block() -> None:
    for payload in PAYLOADS:
        functions = {"f": Function("f", _returning(payload))}
        done = await ran({"": [block("@f"), "no"]}, functions=functions)
        assert [branch.path for branch in done.result.trace.branches] == ["1.1"]
        joined = done.engine.requests[-1].context
        assert not control_ids(done.engine, joined, Origin.branch)
        assert payload in joined.text
        assert done.result.text.endswith("</Thread>\n</Parallel>\nno")


async def test_no_failure_of_a_function_opens_a_block() -> None:
    for payload in PAYLOADS[:60]:
        done = await ran({"": [block("@f"), "no"]}, functions={"f": Function("f", _raising(payload))})
        assert [branch.outcome for branch in done.result.trace.branches] == ["failed"]
        assert not control_ids(done.engine, done.engine.requests[-1].context, Origin.branch)


def _returning(payload: str) -> Callable[[], Awaitable[str]]:
    async def function() -> str:
        return payload

    return function


def _raising(payload: str) -> Callable[[], Awaitable[None]]:
    async def function() -> None:
        raise ValueError(payload)

    return function


async def test_no_branch_text_opens_a_block_for_its_parent() -> None:
    for payload in PAYLOADS:
        script = {"": [block("a"), "no", "no"], "1.1": closed(f" {payload}")}
        done = await ran(script)
        assert [branch.path for branch in done.result.trace.branches] == ["1.1"]
        assert len(done.engine.requests) == 3
        assert done.result.ended == "answered"


@pytest.mark.parametrize("nests", [False, True])
async def test_an_echo_is_generated_and_bound_by_depth_and_budget(nests: bool) -> None:
    dialect = replace(THREADWEAVER, nests=nests)

    def echo(request: Request) -> str:
        return f"{block('again', 'and again')} said</Thread>"

    engine = ScriptedEngine(echo, dialect)
    result = await run(engine, block("again"), Settings(dialect, budget=Budget(run_branches=20)))
    check(result, engine)
    paths = {str(request.path) for request in engine.requests} - {""}
    assert len(paths) == 20
    assert max(request.path.depth for request in engine.requests) == (2 if nests else 1)


def test_neutralised_text_holds_no_tag_and_comes_back() -> None:
    for name in dialect_names():
        dialect = load_dialect(name)
        tags = [tag for tag in dialect.tags.roles() if "{n}" not in tag]
        for payload in PAYLOADS:
            plain = neutralise(payload, dialect)
            assert not any(tag in plain for tag in tags)
            assert restore(plain, dialect) == payload
