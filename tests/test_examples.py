"""Each example runs, on the shipped model or on a script, and does what it says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from apr_agents import RunResult, account
from apr_agents.accounting import Report
from apr_agents.dsl.yaml import load_workflow

EXAMPLES = Path(__file__).parent.parent / "examples"


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


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_workflows_load(file: Path) -> None:
    assert load_workflow(file).name


def test_every_example_is_run_here() -> None:
    source = Path(__file__).read_text()
    assert [path.stem for path in EXAMPLES.glob("*.py") if f'load("{path.stem}")' not in source] == []
