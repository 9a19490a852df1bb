"""A workflow as a graph: the same run as without one, and a node of a graph of the user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import DeltaChannelHistory
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from apr_agents.dsl.execute import run_workflow
from apr_agents.dsl.spec import Workflow
from apr_agents.dsl.yaml import parse_workflow
from apr_agents.engines.base import Request
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.errors import ContextError, EngineError, UsageError
from apr_agents.integrations.langgraph import workflow_node
from apr_agents.integrations.langgraph.steps import steps_graph
from apr_agents.integrations.langgraph.workflow import through
from apr_agents.runner.calls import Function
from tests.dsl.playing import question_in
from tests.integrations.langgraph.graphs import Graph, config
from tests.support.scripts import THREADWEAVER, block

FILE = """
name: everything
inputs: {topics: texts}
steps:
  - generate: plan
    as: plan
  - map: ${topics}
    each: topic
    steps:
      - call: note
        arguments: {word: "${topic}"}
        as: noted
      - generate: "on ${noted} by ${plan}"
        as: draft
      - generate: "again ${draft}"
    as: drafts
  - when: {matches: ["${drafts.0}", draft]}
    then: [{call: note, arguments: {word: then}, as: w}]
    else: [{generate: else, as: w}]
    as: decided
  - repeat:
      - call: note
        arguments: {word: "${k}"}
        as: k
      - generate: "better ${k}"
    most: 5
    until: {matches: ["${k}", "!!!"]}
    start: {k: k}
    as: last
  - fork:
      left: [{generate: left}]
      right: [{map: 2, steps: [{generate: "deep ${item}"}]}]
    join: {synthesis: "both ${branches}"}
    as: both
  - reason: fork it
    as: end
result: "${end}: ${decided} ${last} ${both}"
"""
WORKFLOW = parse_workflow(FILE, "f")
TOPICS = ["a", "b", "c"]


def says(request: Request) -> str | Reply:
    question = question_in(request)
    if question == "fork it":
        return block("p", "q")
    if request.path.depth and question != "</Parallel>" and "<" in request.context.text:
        return "part</Thread>"
    return f"draft {len(question)}"


async def note(word: str) -> str:
    return word + "!"


FUNCTIONS = {"note": Function("note", note)}


async def test_a_run_through_the_graph_is_the_run_without_it() -> None:
    engine = ScriptedEngine(says, THREADWEAVER)
    plain = await run_workflow(WORKFLOW, engine, {"topics": TOPICS}, functions=FUNCTIONS)
    other = ScriptedEngine(says, THREADWEAVER)
    course = through(steps_graph(WORKFLOW))
    graphed = await run_workflow(WORKFLOW, other, {"topics": TOPICS}, functions=FUNCTIONS, course=course)
    assert plain.result.ok, plain.result.detail
    assert graphed.value == plain.value
    assert graphed.result.text == plain.result.text
    assert graphed.result.trace.branches == plain.result.trace.branches
    shapes = [
        [(span.id, span.kind, span.after, span.tokens) for span in one.result.trace.spans] for one in (plain, graphed)
    ]
    assert shapes[0] == shapes[1]
    assert [request.context.text for request in other.requests] == [request.context.text for request in engine.requests]


def node(workflow: Workflow = WORKFLOW, **given: Any) -> Graph:
    return workflow_node(workflow, lambda: ScriptedEngine(says, THREADWEAVER), [note], **given)


class Wider(TypedDict, total=False):
    topics: list[str]
    answer: str
    report: dict[str, Any]
    more: str


@pytest.mark.parametrize("kept", [False, True])
async def test_a_node_of_a_graph_of_the_user_s(*, kept: bool) -> None:
    built = StateGraph(Wider)

    def before(state: Wider) -> Wider:
        return {"topics": [*state.get("topics", []), "c"]}

    built.add_node("before", before)
    built.add_node("vote", node())
    built.add_edge(START, "before").add_edge("before", "vote").add_edge("vote", END)
    graph = built.compile(checkpointer=InMemorySaver() if kept else None)
    state = await graph.ainvoke({"topics": ["a", "b"], "more": "kept"}, config())
    assert state["answer"].startswith("draft")
    assert (state["report"]["ended"], state["more"]) == ("answered", "kept")
    assert state["report"]["report"]["tokens"]["generated"] > state["report"]["report"]["tokens"]["critical"]


TWICE = """
name: twice
inputs: {topics: texts}
steps:
  - generate: ${topics}
    as: first
  - generate: ${first}
"""


@pytest.mark.parametrize("checkpointer", [None, True])
async def test_each_turn_of_a_thread_is_a_run_of_its_own(checkpointer: bool | None) -> None:
    asked: list[str] = []

    def script(request: Request) -> str:
        asked.append(question_in(request))
        return f"text {len(asked)}"

    built = StateGraph(Wider)
    twice = parse_workflow(TWICE, "twice.yaml")
    thinks = workflow_node(twice, lambda: ScriptedEngine(script, THREADWEAVER), checkpointer=checkpointer)
    built.add_node("think", thinks)
    graph = built.add_edge(START, "think").compile(checkpointer=InMemorySaver())
    for turn in (1, 2):
        ended = await graph.ainvoke({"topics": [f"turn {turn}"]}, config())
        assert ended["answer"] == f"text {2 * turn}"
        assert asked[-2:] == [f"turn {turn}", f"text {2 * turn - 1}"]


async def test_the_caller_s_concurrency_bounds_requests_and_calls() -> None:
    engine = ScriptedEngine(says, THREADWEAVER)
    most = 0

    async def note(word: str) -> str:
        nonlocal most
        most = max(most, engine.open_requests)
        return word + "!"

    graph = workflow_node(WORKFLOW, engine, [note], checkpointer=InMemorySaver())
    state = await graph.ainvoke({"topics": TOPICS}, {**config(), "max_concurrency": 1})
    assert state["report"]["ended"] == "answered"
    assert most == 0
    pieces = [piece for piece in state["report"]["report"]["timeline"] if piece["kind"] == "queue"]
    assert pieces


def test_without_an_event_loop() -> None:
    assert node().invoke({"topics": TOPICS})["report"]["ended"] == "answered"


async def test_progress_is_streamed() -> None:
    told = [one async for one in node().astream({"topics": TOPICS}, stream_mode="custom")]
    kinds = {one["type"] for one in told}
    assert {"began", "forked", "generated", "ended", "synthesis"} <= kinds
    assert {one["path"] for one in told if one["type"] == "generated"} >= {"", "1.1", "1.2", "2.2/1.1"}


async def test_exit_durability_is_asked_for_by_name() -> None:
    with pytest.raises(UsageError, match="durability"):
        await node(checkpointer=InMemorySaver()).ainvoke({"topics": TOPICS}, config(), durability="exit")


async def test_a_failed_step_raises_and_is_resumed() -> None:
    asked: list[str] = []
    broken = True

    def script(request: Request) -> str | Reply:
        asked.append(question_in(request))
        return Reply("", error="lost") if question_in(request) == "fork it" and broken else says(request)

    graph = workflow_node(WORKFLOW, lambda: ScriptedEngine(script, THREADWEAVER), [note], checkpointer=InMemorySaver())
    with pytest.raises(EngineError, match=r"steps\[5\]: lost"):
        await graph.ainvoke({"topics": TOPICS}, config())
    before, broken = len(asked), False
    state = await graph.ainvoke(None, config())
    assert state["answer"] == (await node().ainvoke({"topics": TOPICS}))["answer"]
    assert asked[before:] == ["fork it", *asked[before + 1 :]]
    assert len(asked) - before == 4


class Forgetful(InMemorySaver):
    """A checkpointer that does not know what nodes wrote before its last checkpoint."""

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        found = await super().aget_delta_channel_history(config=config, channels=channels)
        return {name: {**history, "writes": history["writes"][:2]} for name, history in found.items()}


async def test_a_checkpointer_that_loses_steps_is_named() -> None:
    def script(request: Request) -> str | Reply:
        return Reply("", error="lost") if question_in(request) == "fork it" else says(request)

    graph = workflow_node(WORKFLOW, lambda: ScriptedEngine(script, THREADWEAVER), [note], checkpointer=Forgetful())
    with pytest.raises(EngineError, match="lost"):
        await graph.ainvoke({"topics": TOPICS}, config())
    with pytest.raises(ContextError, match=r"gave back 2 of the \d+ steps that this run has passed"):
        await graph.ainvoke(None, config())


def test_it_is_drawn() -> None:
    drawn = steps_graph(WORKFLOW).get_graph().draw_mermaid()
    for label in ("(1 generate)", "(2 map)", "(3 when)", "(3.then.1 call)", "(4 repeat)", "(4.1 call)", "(4 until)"):
        assert label in drawn
    for way in ("then", "else", "again", "done"):
        assert f"&nbsp;{way}&nbsp;" in drawn
