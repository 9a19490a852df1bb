"""Tools that raise, hang, return ten megabytes or no text: each is an outcome that tells the model what went wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NoReturn

import anyio
import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langgraph.types import Command
from pydantic import BaseModel

from apr_agents.clock import MonotonicClock
from apr_agents.engines.scripted import ScriptedEngine
from apr_agents.errors import UsageError
from apr_agents.integrations.langchain import ParallelChatModel, as_function
from apr_agents.runner import Budget, Function, Settings, run
from apr_agents.runner.calls import MAX_RESULT
from tests.support.scripts import QUESTION, THREADWEAVER, block, closed, ran

MEGABYTES = 10 * 1024 * 1024
SCRIPT = {"": [block("@bad", "think"), "the end"], "1.2": closed(" yes")}


class Mute(Exception):
    def __str__(self) -> str:
        raise KeyError("nothing")


class Hostile(dict[str, Any]):
    def items(self) -> NoReturn:
        raise LookupError("not for you")


class Picture(BaseModel):
    pixels: bytes = b"\xff\xfe"


def _raise(error: BaseException) -> Callable[[], Any]:
    def bad() -> None:
        raise error

    return bad


BAD: list[tuple[str, Callable[[], Any], str]] = [
    ("raises", _raise(ValueError("no such city")), "@bad raised ValueError: no such city"),
    ("raises a tool's own", _raise(ToolException("no such city")), "@bad raised ToolException: no such city"),
    ("exits", _raise(SystemExit(3)), "@bad raised SystemExit: 3"),
    ("raises a novel", _raise(ValueError("x" * MEGABYTES)), "@bad raised ValueError: xxx"),
    ("raises what is mute", _raise(Mute()), "@bad raised Mute: it cannot say what, for KeyError"),
    ("raises a group", _raise(ExceptionGroup("many", [OSError("down")])), "@bad raised OSError: down"),
    ("ten megabytes", lambda: "x" * MEGABYTES, f"@bad returned {MEGABYTES} characters; a result may have {MAX_RESULT}"),
    ("ten megabytes of JSON", lambda: ["x" * 1024] * 10240, f"characters; a result may have {MAX_RESULT}"),
    ("bytes", lambda: b"\xff\xfe", "@bad returned a bytes that is not text or JSON"),
    ("half a character", lambda: "\ud800", "@bad returned a str that is not text or JSON"),
    ("an object", object, "@bad returned a object that is not text or JSON"),
    ("itself", lambda: (loop := list[Any]()).append(loop) or loop, "@bad returned a list that is not text or JSON"),
    ("a generator", lambda: (n for n in range(3)), "@bad returned a generator that is not text or JSON"),
    ("what defends itself", lambda: Hostile(a=1), "@bad returned a Hostile that is not text or JSON"),
]
OF_LANGCHAIN: list[tuple[str, Callable[[], Any], str]] = [
    *BAD,
    ("a picture", lambda: [{"type": "image", "base64": "eA=="}], "@bad: it returned a part of type 'image'"),
    ("a picture in a message", lambda: ToolMessage([{"type": "image"}], tool_call_id="1"), "a part of type 'image'"),
    ("a model of bytes", lambda: Picture(), "@bad: it returned a Picture that is not JSON"),
    ("a command", lambda: Command(goto="end"), "@bad returned a Command that is not text or JSON"),
]


def _named(cases: list[tuple[str, Callable[[], Any], str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("bad", "told"), [case[1:] for case in cases], ids=[case[0] for case in cases])


async def _outcome(function: Function) -> str:
    """What the model is told, by a run that goes on."""
    done = await ran(SCRIPT, functions={"bad": function})
    assert done.result.ended == "answered"
    assert [branch.outcome for branch in done.result.trace.branches] == ["failed", "done"]
    outcome = next(one for one in done.result.outcomes if one.branch.path == "1.1")
    assert outcome.text == closed(f" failed: {outcome.branch.detail}")
    assert "\n" not in outcome.branch.detail
    assert len(outcome.text) < 2_200
    return outcome.branch.detail


@_named(BAD)
async def test_a_function(bad: Callable[[], Any], told: str) -> None:
    assert told in await _outcome(Function("bad", bad))


@_named(BAD)
async def test_a_coroutine(bad: Callable[[], Any], told: str) -> None:
    async def later() -> object:
        return bad()

    assert told in await _outcome(Function("bad", later))


@_named(OF_LANGCHAIN)
async def test_a_tool(bad: Callable[[], Any], told: str) -> None:
    tool = StructuredTool.from_function(bad, name="bad", description="Fail.")
    assert told in await _outcome(as_function(tool))


@_named([case for case in OF_LANGCHAIN if case[0] != "exits"])
async def test_a_tool_that_can_wait(bad: Callable[[], Any], told: str) -> None:
    """LangChain awaits it in a task of its own, and asyncio ends its event loop when a task exits the program."""

    async def later() -> object:
        return bad()

    tool = StructuredTool.from_function(coroutine=later, name="bad", description="Fail.")
    assert told in await _outcome(as_function(tool))


async def _hang() -> None:
    """Never return."""
    await anyio.sleep_forever()


def _hanging_tool() -> BaseTool:
    return StructuredTool.from_function(coroutine=_hang, name="bad")


@pytest.mark.parametrize("tool", [_hang, _hanging_tool()], ids=["function", "tool"])
async def test_one_that_hangs_has_failed_when_its_seconds_are_over(tool: BaseTool | Callable[..., Any]) -> None:
    function = as_function(tool, seconds=30)
    done = await ran(
        {"": [block(f"@{function.name}"), "the end"]}, functions={function.name: function}, budget=Budget(seconds=3600)
    )
    (branch,) = done.result.trace.branches
    assert (branch.outcome, branch.detail) == ("failed", f"@{function.name} did not return within 30 s")
    assert done.result.text.endswith(f" failed: {branch.detail}</Thread>\n</Parallel>\nthe end")
    assert done.result.trace.wall == 30


async def test_one_that_hangs_as_long_as_the_run_is_named() -> None:
    done = await ran({"": [block("@bad"), "the end"]}, functions={"bad": Function("bad", _hang)})
    (branch,) = done.result.trace.branches
    assert (branch.outcome, branch.detail) == ("cancelled", "cancelled: @bad had not returned")
    assert done.result.ended == "seconds"


async def test_one_that_blocks_its_thread_is_left_behind() -> None:
    release = threading.Event()

    def bad() -> None:
        release.wait(30)

    tool = as_function(StructuredTool.from_function(bad, name="bad", description="Block."), seconds=0.1)
    engine = ScriptedEngine({"": [block("@bad"), "the end"]}, THREADWEAVER, clock=MonotonicClock())
    try:
        result = await run(engine, QUESTION, Settings(THREADWEAVER, functions={"bad": tool}))
    finally:
        release.set()
    assert (result.ended, result.answer) == ("answered", "the end")
    assert result.trace.branches[0].detail == "@bad did not return within 0.1 s"


async def test_one_that_is_quick_enough_is_not_in_the_way() -> None:
    function = Function("quick", lambda: "so", seconds=30)
    done = await ran({"": [block("@quick"), "the end"]}, functions={"quick": function})
    assert [one.text for one in done.result.outcomes] == [closed(" so")]


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_at_all_is_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match="@_hang: seconds is"):
        as_function(_hang, seconds=seconds)


def test_through_the_chat_model_the_message_tells_what_went_wrong() -> None:
    tools = [
        StructuredTool.from_function(bad, name=f"bad{place}", description="Fail.")
        for place, (_, bad, _) in enumerate(BAD)
    ]
    outlines = [f"@{tool.name}" for tool in tools]

    def make() -> ScriptedEngine:
        return ScriptedEngine({"": [block(*outlines), "the end"]}, THREADWEAVER, clock=MonotonicClock())

    with ParallelChatModel(engine=make, content="text") as model:
        message = model.bind_tools(tools).invoke("What is it?")
    for place, (_, _, told) in enumerate(BAD):
        assert told.replace("@bad", f"@bad{place}") in message.text
    branches = message.response_metadata["report"]["forks"][0]["branches"]
    assert {branch["outcome"] for branch in branches} == {"failed"}
