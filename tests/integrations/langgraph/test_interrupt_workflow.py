"""A step of a workflow that needs a person stops the graph; it goes on there, and nothing is done twice."""

from __future__ import annotations

import pytest
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from apr_agents.dsl.yaml import parse_workflow
from apr_agents.engines.base import Request
from apr_agents.engines.scripted import ScriptedEngine
from apr_agents.integrations.langgraph import workflow_node
from apr_agents.integrations.langgraph.functions import Callee
from apr_agents.runner import Function
from tests.dsl.playing import question_in
from tests.integrations.langgraph.graphs import Graph, config
from tests.support.scripts import THREADWEAVER

CALL = """
name: asks
steps:
  - generate: before
  - {call: ask, arguments: {what: this}, as: told}
  - generate: "after ${told}"
result: ${told}
"""
MAP = """
name: asks
steps:
  - map: [a, b, c]
    each: one
    steps:
      - generate: "before ${one}"
      - when: {equals: ["${one}", b]}
        then: [{call: ask, arguments: {what: "${one}"}, as: told}]
        else: [{call: note, arguments: {what: "${one}"}, as: told}]
      - generate: "after ${one}"
      - call: echo
        arguments: {value: "${told}"}
    as: all
  - generate: end
result: ${all}
"""

DEEP = """{map: [p, q], each: i, steps: [
  {when: {equals: ["${i}", p]}, then: [{call: ask, arguments: {what: "${i}"}}], else: [{generate: q}]}]}"""


def ask(what: str) -> str:
    """Ask a person."""
    return f"told {interrupt(what)}"


async def ask_later(what: str) -> str:
    """Ask a person."""
    return f"told {interrupt(what)}"


def _graph(file: str, asks: Callee, asked: list[str], *, kept: bool = True) -> Graph:
    def script(request: Request) -> str:
        asked.append(question_in(request))
        return "text"

    def note(what: str) -> str:
        asked.append(f"note {what}")
        return what

    def echo(value: str) -> str:
        return value

    def rate(item: str) -> int:
        return interrupt(item)

    functions = {"ask": asks, "note": note, "echo": echo, "rate": rate}
    saver = InMemorySaver() if kept else None
    return workflow_node(
        parse_workflow(file, "f"), lambda: ScriptedEngine(script, THREADWEAVER), functions, checkpointer=saver
    )


KINDS = pytest.mark.parametrize(
    "asks",
    [ask, ask_later, tool(ask), tool(ask_later), Function("ask", ask, seconds=60)],
    ids=["def", "async", "tool", "async tool", "a time limit"],
)


@KINDS
async def test_a_step_waits_for_a_person(asks: Callee) -> None:
    asked: list[str] = []
    graph = _graph(CALL, asks, asked)
    stopped = await graph.ainvoke({}, config())
    assert [one.value for one in stopped["__interrupt__"]] == ["this"]
    assert asked == ["before"]
    ended = await graph.ainvoke(Command(resume="yes"), config())
    assert ended["answer"] == "told yes"
    assert asked == ["before", "after told yes"]


@KINDS
async def test_a_branch_of_a_map_waits_for_a_person(asks: Callee) -> None:
    asked: list[str] = []
    graph = _graph(MAP, asks, asked)
    stopped = await graph.ainvoke({}, config())
    assert [one.value for one in stopped["__interrupt__"]] == ["b"]
    assert sorted(asked) == ["after a", "after c", "before a", "before b", "before c", "note a", "note c"]
    ended = await graph.ainvoke(Command(resume="yes"), config())
    assert ended["answer"] == ["a", "told yes", "c"]
    assert asked[7:] == ["after b", "end"]
    assert {branch["outcome"] for branch in ended["report"]["report"]["forks"][0]["branches"]} == {"done"}


def test_a_step_and_a_branch_wait_in_a_graph_of_threads() -> None:
    for file in (CALL, MAP):
        asked: list[str] = []
        graph = _graph(file, ask, asked)
        assert graph.invoke({}, config())["__interrupt__"]
        assert "told yes" in graph.invoke(Command(resume="yes"), config())["answer"]
        assert len(set(asked)) == len(asked)


NOTED = """[{map: [a, b], each: i, steps: [
  {call: note, arguments: {what: "first ${i}"}},
  {call: ask, arguments: {what: "${i}"}, as: told},
  {call: note, arguments: {what: "then ${i}"}},
  {call: ask, arguments: {what: "${told}"}}]}]"""


async def test_a_call_before_and_behind_the_question_is_made_once() -> None:
    asked: list[str] = []
    graph = _graph(f"name: notes\nsteps: {NOTED}\n", ask, asked)
    state = await graph.ainvoke({}, config())
    for _ in range(4):
        one = state["__interrupt__"][0]
        state = await graph.ainvoke(Command(resume={one.id: f"{one.value}!"}), config())
    assert state["answer"] == ["told told a!!", "told told b!!"]
    assert sorted(asked) == ["note first a", "note first b", "note then a", "note then b"]
    assert state["report"]["ended"] == "answered"


async def test_two_people_answer_one_after_the_other() -> None:
    asked: list[str] = []
    both = "[{call: ask, arguments: {what: '${one}'}, as: told}]"
    graph = _graph(MAP.replace('[{call: note, arguments: {what: "${one}"}, as: told}]', both), ask, asked)
    stopped = await graph.ainvoke({}, config())
    pending = {one.value: one.id for one in stopped["__interrupt__"]}
    assert set(pending) == {"a", "b", "c"}
    stopped = await graph.ainvoke(Command(resume={pending["b"]: "yes"}), config())
    assert {one.value for one in stopped["__interrupt__"]} == {"a", "c"}
    assert asked[3:] == ["after b"]
    ended = await graph.ainvoke(Command(resume={pending["a"]: "no", pending["c"]: "maybe"}), config())
    assert ended["answer"] == ["told no", "told yes", "told maybe"]
    assert sorted(asked[4:]) == ["after a", "after c", "end"]


async def test_one_branch_asks_a_person_twice() -> None:
    asked: list[str] = []
    file = MAP.replace("echo", "ask").replace("value", "what").replace("[a, b, c]", "[b]")
    graph = _graph(file, ask, asked)
    assert [one.value for one in (await graph.ainvoke({}, config()))["__interrupt__"]] == ["b"]
    stopped = await graph.ainvoke(Command(resume="yes"), config())
    assert [one.value for one in stopped["__interrupt__"]] == ["told yes"]
    ended = await graph.ainvoke(Command(resume="sure"), config())
    assert ended["answer"] == ["told sure"]
    assert asked == ["before b", "after b", "end"]


@pytest.mark.parametrize(
    ("steps", "questions", "answer"),
    [
        ("[{score: [p, q], by: rate}]", ["p", "q"], [1, 2]),
        ("[{repeat: [{call: ask, arguments: {what: '${k}'}, as: k}], most: 2, start: {k: w}}]",
         ["w", "told 1"], "told 2"),
        (f"[{{fork: {{l: [{DEEP}], r: [{{generate: r}}]}}}}]", ["p"], {"l": ["told 1", "text"], "r": "text"}),
        ("[{map: [p], each: i, steps: [{call: ask, arguments: {what: '${i}'}}], join: {synthesis: 'all ${branches}'}}]",
         ["p"], "text"),
    ],
    ids=["score", "repeat", "map in fork", "synthesis"],
)  # fmt: skip
async def test_wherever_it_stands(steps: str, questions: list[str], answer: object) -> None:
    asked: list[str] = []
    graph = _graph(f"name: asks\nsteps: {steps}\n", ask, asked)
    state = await graph.ainvoke({}, config())
    for number, question in enumerate(questions, 1):
        assert [one.value for one in state["__interrupt__"]] == [question]
        state = await graph.ainvoke(Command(resume=number), config())
    assert state["answer"] == answer
    assert len(set(asked)) == len(asked)


class Wider(TypedDict, total=False):
    before: list[str]
    answer: list[str]


@pytest.mark.parametrize("file", [CALL, MAP])
async def test_in_a_graph_of_the_user_s(file: str) -> None:
    asked: list[str] = []
    built = StateGraph(Wider)

    def first(state: Wider) -> Wider:
        return {"before": [*state.get("before", []), "once"]}

    built.add_node("first", first)
    built.add_node("asks", _graph(file, ask, asked))
    built.add_edge(START, "first").add_edge("first", "asks").add_edge("asks", END)
    graph = built.compile(checkpointer=InMemorySaver())
    assert (await graph.ainvoke({}, config()))["__interrupt__"]
    ended = await graph.ainvoke(Command(resume="yes"), config())
    assert "told yes" in ended["answer"]
    assert ended["before"] == ["once"]
    assert len(set(asked)) == len(asked)


async def test_a_join_that_needs_it_not_does_not_wait() -> None:
    asked: list[str] = []
    ended = await _graph(MAP.replace("    as: all", "    join: first\n    as: all"), ask, asked).ainvoke({}, config())
    assert ended["answer"][1] is None
    assert "a" in ended["answer"] or "c" in ended["answer"]


@pytest.mark.parametrize("file", [CALL, MAP])
async def test_where_nothing_is_kept_it_stops_as_any_graph_does(file: str) -> None:
    graph = _graph(file, ask, [], kept=False)
    assert (await graph.ainvoke({}))["__interrupt__"]
