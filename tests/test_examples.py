"""Each example runs, on the shipped model or on a script, and does what it says."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from langgraph.graph.state import CompiledStateGraph

from apr_agents import RunResult, account
from apr_agents.accounting import Report
from apr_agents.dsl.yaml import load_workflow
from apr_agents.engines.base import Engine
from apr_agents.engines.scripted import Script, ScriptedEngine
from tests.support.scripts import THREADWEAVER, block, closed

EXAMPLES = Path(__file__).parent.parent / "examples"
EngineFor = Callable[[Script], Engine | str]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_quickstart() -> None:
    result: RunResult = await load("quickstart").main()
    assert result.ok
    assert "answer:" in result.answer
    assert len(result.trace.blocks) >= 1


async def test_first_success_needs_no_more_tokens_on_the_path() -> None:
    every, first = await load("first_success").main()
    assert every.ok
    assert first.ok
    assert any(branch.outcome == "cancelled" for branch in first.trace.branches)
    assert account(first.trace).tokens.critical <= account(every.trace).tokens.critical


async def test_calls_are_answered_by_the_function() -> None:
    result: RunResult = await load("calls").main()
    called = [branch for branch in result.trace.branches if branch.kind == "call"]
    assert called
    assert {branch.outcome for branch in called} == {"done"}


async def test_nested_blocks_fork_inside_branches() -> None:
    result: RunResult = await load("nested").main()
    assert any("/" in branch.path for branch in result.trace.branches)


async def test_testing_an_agent_takes_virtual_hours() -> None:
    result: RunResult = await load("testing_an_agent").main()
    assert result.answer == "both halves hold"
    assert result.trace.wall > 3600


def test_a_program_swaps_its_chat_model() -> None:
    report: Report = load("chat_model").main()
    assert report.ended == "answered"
    assert len({fork.path for fork in report.forks}) >= 2
    assert report.tokens.critical < report.tokens.generated


@pytest.fixture(params=["scripted", "embedded"])
def engine_for(request: pytest.FixtureRequest) -> EngineFor:
    """An engine of this script, and the shipped model, which says what it says: an example does not know which."""
    return lambda script: ScriptedEngine(script, THREADWEAVER) if request.param == "scripted" else "embedded"


def test_a_node_in_a_graph() -> None:
    graph: CompiledStateGraph[Any, Any, Any, Any] = load("langgraph_node").graph
    answer = graph.invoke({"messages": [("user", "Numbers: 26 45 27 21 Target: 18")]})["messages"][-1]
    assert answer.text.endswith("27 - 9 = 18")
    assert answer.usage_metadata["input_token_details"]["cache_read"] > 0


async def test_a_research_agent_searches_and_reasons_at_once(engine_for: EngineFor) -> None:
    asked = block('@search {"words": "what is a dialect"}', "what the word may mean")
    engine = engine_for({"": [asked, "It is data."], "1.2": closed(" tags")})
    answer = await load("research_agent").main(engine, "What is a dialect?")
    facts = answer.response_metadata
    assert facts["report"]["tokens"]["generated"] > 0
    if isinstance(engine, ScriptedEngine):
        assert answer.text == "It is data."
        assert "README.md" in engine.requests[-1].context.text
        assert len(facts["report"]["forks"]) == 1


async def test_a_reviewer_looks_at_all_files_at_once(engine_for: EngineFor, tmp_path: Path) -> None:
    files = [tmp_path / "one.py", tmp_path / "two.py"]
    for file in files:
        file.write_text("x = 1 / 0\n")
    engine = engine_for({"1.1": "line 1 divides by zero", "1.2": "nothing", "": "line 1 of one.py"})
    answered = await load("code_reviewer").main(engine, list(map(str, files)))
    assert [branch.path for branch in answered.result.trace.branches if "/" not in branch.path] == ["1.1", "1.2"]
    if isinstance(engine, ScriptedEngine):
        assert answered.ok
        assert answered.answer == "line 1 of one.py"
        assert "line 1 divides by zero\nnothing" in engine.requests[-1].context.text


async def test_a_planner_has_graphs_for_branches(engine_for: EngineFor) -> None:
    asked = block('@stay {"city": "Oslo", "nights": 2}', '@ways {"city": "Oslo"}', "what fits")
    engine = engine_for({"": [asked, "By train."], "1.3": closed(" both")})
    plan = await load("planner").main(engine, "Two days in Oslo for at most 400")
    assert plan.response_metadata["report"]["tokens"]["generated"] > 0
    if isinstance(engine, ScriptedEngine):
        assert plan.text == "By train."
        assert "2 nights in Oslo for 220" in engine.requests[-1].context.text
        assert "to Oslo by train" in engine.requests[-1].context.text


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_workflows_load(file: Path) -> None:
    assert load_workflow(file).name


def test_every_example_is_run_here() -> None:
    source = Path(__file__).read_text()
    assert [path.stem for path in EXAMPLES.glob("*.py") if f'load("{path.stem}")' not in source] == []


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_read_at_a_glance(file: Path) -> None:
    assert len(file.read_text().splitlines()) < 60
