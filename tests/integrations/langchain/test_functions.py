"""LangChain's tools as functions that outlines call."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool, tool
from pydantic import BaseModel, Field

from apr_agents.errors import CallError, UsageError
from apr_agents.integrations.langchain import as_function
from apr_agents.runner import Function
from apr_agents.runner.calls import describe


class Place(BaseModel):
    name: str
    weight: int = 1


@tool
def add(a: int, b: Annotated[int, Field(ge=0)] = 2) -> int:
    """Add two numbers."""
    return a + b


@tool
async def weigh(place: Place) -> str:
    """Weigh a place."""
    return f"{place.name} {place.weight}"


@tool
def secret(a: int, user: Annotated[str, InjectedToolArg] = "nobody") -> str:
    """Keep one thing back."""
    return f"{a} {user}"


def returning(result: object) -> BaseTool:
    return StructuredTool.from_function(lambda: result, name="give", description="Give it.")


def _found(**arguments: object) -> object:
    return arguments


# As servers of tools describe theirs: a JSON Schema, with names that Python has not.
FOREIGN = StructuredTool(
    name="find-it",
    description="Find it.",
    args_schema={"type": "object", "properties": {"max-hits": {"type": "integer"}}, "required": ["max-hits"]},
    func=_found,
)


def subtract(a: int, b: int) -> int:
    """Subtract."""
    return a - b


def test_a_tool_keeps_its_name_description_and_schema() -> None:
    function = as_function(add)
    assert (function.name, function.description) == ("add", "Add two numbers.")
    assert function.schema()["properties"]["b"] == {"default": 2, "minimum": 0, "title": "B", "type": "integer"}
    assert "@add" in describe({"add": function})


def test_a_schema_holds_nothing_that_is_elsewhere_or_injected() -> None:
    assert as_function(weigh).schema()["properties"]["place"]["properties"].keys() == {"name", "weight"}
    assert as_function(secret).schema()["properties"].keys() == {"a"}


@pytest.mark.parametrize(
    ("given", "arguments", "result"),
    [
        (add, '{"a": 3}', "5"),
        (weigh, '{"place": {"name": "Rome"}}', "Rome 1"),
        (secret, '{"a": 1}', "1 nobody"),
        (FOREIGN, '{"max-hits": 2}', '{"max-hits": 2}'),
        (subtract, '{"a": 3, "b": 1}', "2"),
        (returning(None), "", ""),
        (returning(Place(name="Rome")), "{}", '{"name": "Rome", "weight": 1}'),
        (returning([{"type": "text", "text": "one "}, "two"]), "{}", "one two"),
        (returning([1, 2]), "{}", "[1, 2]"),
        (returning(ToolMessage("so", tool_call_id="1")), "{}", "so"),
    ],
    ids=["plain", "async", "injected", "foreign", "function", "none", "model", "parts", "list", "message"],
)
async def test_results_are_text(given: BaseTool, arguments: str, result: str) -> None:
    assert await as_function(given).run(arguments) == result


@pytest.mark.parametrize(
    ("given", "arguments", "problem"),
    [
        (add, "{", "@add: the arguments are not JSON: Expecting property name enclosed in double quotes: line 1 col"),
        (add, "[1]", "@add: the arguments must be a JSON object"),
        (add, "{}", "@add: a: this argument is required"),
        (add, '{"a": 1, "c": 2}', "@add: c: there is a, b"),
        (add, '{"a": NaN}', "@add: the arguments are not JSON: NaN is not JSON"),
        (add, '{"a": "x"}', "@add: a: Input should be a valid integer, unable to parse string as an integer"),
        (add, '{"a": 1, "b": -1}', "@add: b: Input should be greater than or equal to 0"),
        (secret, '{"a": 1, "user": "root"}', "@secret: user: there is a"),
        (returning(object()), "{}", "@give returned a object that is not text or JSON"),
        (returning([{"type": "image"}]), "{}", "it returned a part of type 'image'; a result is text"),
    ],
    ids=["broken", "list", "missing", "unknown", "nan", "type", "range", "injected", "object", "image"],
)
async def test_what_goes_wrong_is_one_line_that_the_model_can_read(
    given: BaseTool, arguments: str, problem: str
) -> None:
    with pytest.raises(CallError) as failed:
        await as_function(given).run(arguments)
    assert problem in str(failed.value)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(("schema", "name"), [(Place, "Place"), ({"title": "Place"}, "{'title': 'Place'}")])
def test_a_schema_alone_is_refused(schema: type | dict[str, Any], name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is a schema, which nothing can run; give a tool or a function"):
        as_function(schema)


def test_a_function_of_ours_stays_itself() -> None:
    function = Function.of(subtract)
    assert as_function(function) is function


async def test_a_tool_that_can_wait_does_so_on_the_event_loop() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    @tool
    async def where() -> str:
        """Tell where."""
        loops.append(asyncio.get_running_loop())
        return ""

    await as_function(where).run("{}")
    assert loops == [asyncio.get_running_loop()]
