"""Calls in outlines: what is found, what is refused, and what the model is told of each way to fail."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import sys
import threading
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest
from pydantic import Field

from apr_agents.errors import CallError, UsageError
from apr_agents.runner import Function, Settings, stream
from apr_agents.runner.calls import MAX_RESULT, describe, find_call
from tests.support.scripts import QUESTION, THREADWEAVER, ScriptedEngine, block, closed, ran


class Unit(StrEnum):
    metre = "m"
    foot = "ft"


def add(a: int, b: int = 2) -> int:
    """The sum of two numbers."""
    return a + b


async def later(text: str) -> str:
    await anyio.lowlevel.checkpoint()
    return text.upper()


def everything(
    whole: int = 0,
    real: float = 0.0,
    few: Annotated[int, Field(ge=1, le=3)] = 1,
    pair: tuple[int, int] = (0, 0),
    unit: Unit = Unit.metre,
    schema: str = "",
    _hidden: bool = False,
    anything: object = None,
) -> str:
    """A parameter of every kind, also with the names that a model has."""
    return f"{whole} {real} {few} {pair} {unit} {schema} {_hidden} {anything}"


class Adder:
    """A callable value."""

    async def __call__(self, a: int) -> int:
        return a + 1


FUNCTIONS = {
    function.name: function
    for function in (
        Function.of(add),
        Function.of(later),
        Function.of(everything),
        Function("adder", Adder()),
        Function("add-three", functools.partial(add, b=3)),
        Function("late.r", functools.partial(later)),
    )
}


async def call(outline: str, functions: Mapping[str, Function] = FUNCTIONS) -> tuple[str, str, str]:
    """Outcome, detail and text of a call in the only outline of a block."""
    done = await ran({"": [block(outline), "ok"]}, functions=functions)
    assert done.result.ended == "answered"
    (outcome,) = done.result.outcomes
    assert outcome.branch.kind == "call"
    return outcome.branch.outcome, outcome.branch.detail, outcome.text


@pytest.mark.parametrize(
    ("outline", "result"),
    [
        ('@add {"a": 1}', "3"),
        ('@add{"a": 1, "b": 5}', "6"),
        ('@add\n  {"a": -1,\n "b": 1}', "0"),
        ('@later {"text": "a<b é"}', "A<B É"),
        ("@everything", "0 0.0 1 (0, 0) m  False None"),
        ('@everything {"real": 2, "pair": [1, 2], "unit": "ft"}', "0 2.0 1 (1, 2) ft  False None"),
        ('@everything {"schema": "x", "_hidden": true, "anything": {"k": [1]}}', "0 0.0 1 (0, 0) m x True {'k': [1]}"),
        ('@adder {"a": 1}', "2"),
        ('@add-three {"a": 1}', "4"),
        ('@late.r {"text": "a"}', "A"),
    ],
)
async def test_a_good_call_brings_back_its_result(outline: str, result: str) -> None:
    assert await call(outline) == ("done", "", closed(f" {result}"))


@pytest.mark.parametrize(
    ("outline", "detail"),
    [
        ("@add", "@add: a: Field required"),
        ("@add 1, 2", "@add: the arguments are not JSON"),
        ('@add {"a": 1', "@add: the arguments are not JSON"),
        ('@add {"a": 1} and more', "@add: the arguments are not JSON"),
        ('@add {"a": NaN}', "@add: the arguments are not JSON: NaN is not JSON"),
        ('@add {"a": 1e999}', "@add: a: Input should be a valid integer"),
        ('@add {"a": ' + "9" * 3000 + "." + "9" * 10 + "}", "@add: "),
        ('@add {"a": ' + "[" * 3500, "@add: the arguments are not JSON"),
        ("@add [1]", "@add: the arguments must be a JSON object"),
        ("@add null", "@add: the arguments must be a JSON object"),
        ('@add {"a": "1"}', "@add: a: Input should be a valid integer"),
        ('@add {"a": 1.5}', "@add: a: Input should be a valid integer"),
        ('@add {"a": true}', "@add: a: Input should be a valid integer"),
        ('@add {"a": 1, "c": 1, "d": 2}', "@add: c: Extra inputs are not permitted; d: Extra inputs"),
        ('@everything {"few": 9}', "@everything: few: Input should be less than or equal to 3"),
        ('@everything {"pair": [1]}', "@everything: pair.1: Field required"),
        ('@everything {"unit": "mile"}', "@everything: unit: Input should be 'm' or 'ft'"),
        ('@later {"text": 5}', "@later: text: Input should be a valid string"),
    ],
)
async def test_a_bad_call_is_an_outcome_which_the_model_sees(outline: str, detail: str) -> None:
    how, told, text = await call(outline)
    assert how == "failed"
    assert told.startswith(detail)
    assert text == closed(f" failed: {told}")


@pytest.mark.parametrize("outline", ["@unknown {}", "@ add {}", "add {}", "see @add {}", "@", '＠add {"a": 1}'])
async def test_what_is_no_call_of_an_allowed_function_is_sub_reasoning(outline: str) -> None:
    done = await ran({"": [block(outline), "ok"], "1.1": closed(" thought")}, functions=FUNCTIONS)
    assert [(one.branch.kind, one.text) for one in done.result.outcomes] == [("reason", closed(" thought"))]


class Unspeakable(Exception):
    def __str__(self) -> str:
        return "a\ud800b" + "x" * 10**6


def _raise(error: BaseException) -> Callable[[], Any]:
    def function() -> None:
        raise error

    return function


async def _raise_later() -> None:
    await anyio.lowlevel.checkpoint()
    raise KeyError("k")


async def _leave() -> None:
    sys.exit(3)


@pytest.mark.parametrize(
    ("function", "detail"),
    [
        (_raise(ValueError("no </Thread> here")), "@f raised ValueError: no </Thread> here"),
        (_raise(SystemExit(2)), "@f raised SystemExit: 2"),
        (_raise(Unspeakable()), "@f raised Unspeakable: a?b"),
        (_raise_later, "@f raised KeyError: 'k'"),
        (_leave, "@f raised SystemExit: 3"),
        (object, "@f returned a object that is not text or JSON"),
        (lambda: b"bytes", "@f returned a bytes that is not text or JSON"),
        (lambda: {1, 2}, "@f returned a set that is not text or JSON"),
        (lambda: "\ud800", "@f returned a str that is not text or JSON"),
        (lambda: "x" * (MAX_RESULT + 1), f"@f returned {MAX_RESULT + 1} characters; a result may have {MAX_RESULT}"),
    ],
)
async def test_a_function_that_fails_is_an_outcome(function: Callable[..., Any], detail: str) -> None:
    how, told, text = await call("@f", {"f": Function("f", function)})
    assert how == "failed"
    assert told.startswith(detail)
    assert len(told) < 2100
    assert text == closed(f" failed: {told}")


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, ""),
        ("", ""),
        ("é", "é"),
        (1.5, "1.5"),
        (True, "true"),
        ({"é": [1, None]}, '{"é": [1, null]}'),
        ("x" * MAX_RESULT, "x" * MAX_RESULT),
    ],
)
async def test_a_result_is_text_or_json(result: object, text: str) -> None:
    assert await call("@f", {"f": Function("f", lambda: result)}) == ("done", "", closed(f" {text}" if text else ""))


async def test_every_failure_of_a_block_is_shown() -> None:
    functions = {name: Function(name, _raise(ValueError(f"no {name}"))) for name in ("x", "y", "z")}
    done = await ran({"": [block("@x", "@y", "@z"), "ok"]}, functions=functions)
    assert [one.branch.detail for one in done.result.outcomes] == [f"@{n} raised ValueError: no {n}" for n in "xyz"]
    _, (_, joined) = done.asked
    assert re.findall(r"failed: @(.) raised", joined) == ["x", "y", "z"]


async def test_a_function_that_cancels_itself_keeps_nobody_waiting() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    functions = {"f": Function("f", cancelled)}
    done = await ran({"": [block("@f", "think"), "ok"], "1.2": closed(" yes")}, functions=functions)
    assert done.result.ended == "answered"
    assert [branch.outcome for branch in done.result.trace.branches] == ["cancelled", "done"]


async def test_a_function_that_hangs_is_cancelled_with_the_run() -> None:
    ended: list[str] = []

    async def hang() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("hang")

    done = await ran({"": [block("@hang", '@add {"a": 1}'), "ok"]}, functions={**FUNCTIONS, "hang": Function.of(hang)})
    assert ended == ["hang"]
    assert done.result.ended == "seconds"
    assert [(one.branch.path, one.text) for one in done.result.outcomes] == [("1.2", closed(" 3")), ("1.1", "")]
    assert done.result.text.endswith("<Thread>2: 3</Thread>\n</Parallel>\n")


async def test_a_plain_function_that_hangs_is_left_behind() -> None:
    release, running = threading.Event(), anyio.Event()
    loop = asyncio.get_running_loop()

    def hang() -> None:
        loop.call_soon_threadsafe(running.set)
        release.wait(30)

    engine = ScriptedEngine({"": [block("@hang"), "ok"]}, THREADWEAVER)
    async with stream(engine, QUESTION, Settings(THREADWEAVER, functions={"hang": Function.of(hang)})) as live:
        await running.wait()
    release.set()
    assert live.result().ended == "cancelled"


def test_functions_are_described_by_their_schemas() -> None:
    told = describe({"add": FUNCTIONS["add"], "everything": FUNCTIONS["everything"]})
    first, line, other = told.splitlines()
    assert first == "An outline may call one of these functions, as `@name {json arguments}`:"
    assert line.startswith("@add {")
    assert line.endswith("} The sum of two numbers.")
    assert set(json.loads(line.removeprefix("@add ").removesuffix(" The sum of two numbers."))) == {"a", "b"}
    assert '"_hidden"' in other
    assert '"schema"' in other
    assert FUNCTIONS["add"].schema()["required"] == ["a"]


def _takes_many(*rest: int) -> None: ...


def _takes_named(**rest: int) -> None: ...


def _takes_by_place(a: int, /) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_takes_many, "parameter rest cannot be given by name"),
        (_takes_named, "parameter rest cannot be given by name"),
        (_takes_by_place, "parameter a cannot be given by name"),
        (dict, "its parameters cannot be read"),
    ],
)
async def test_a_function_that_no_outline_could_call_is_refused_at_the_door(
    function: Callable[..., Any], message: str
) -> None:
    engine = ScriptedEngine({"": "x"}, THREADWEAVER)
    with pytest.raises(UsageError, match=f"@f: {message}"):
        async with stream(engine, QUESTION, Settings(THREADWEAVER, functions={"f": Function("f", function)})):
            pass
    assert engine.requests == []


def test_a_function_needs_a_name() -> None:
    with pytest.raises(UsageError, match="has no name that a model could call"):
        Function.of(functools.partial(add, 1))
    with pytest.raises(UsageError, match="has no name"):
        Function.of(lambda: None)


def test_find_call_keeps_the_arguments_as_written() -> None:
    found = find_call('  @add  {"a": 1}  ', FUNCTIONS)
    assert found is not None
    assert (found.function.name, found.arguments) == ("add", '{"a": 1}')
    with pytest.raises(CallError):
        found.function.check("[]")
