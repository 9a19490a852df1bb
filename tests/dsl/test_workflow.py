"""A file becomes the one model; what is left out has its default; any document at all is a workflow or refused."""

from __future__ import annotations

import ast
import json
import tracemalloc
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.dialects import Dialect
from apr_agents.dsl.checks import answer_in, run_check
from apr_agents.dsl.inputs import Input, read_inputs
from apr_agents.dsl.spec import BudgetSpec, CheckSpec, DialectSpec, JoinSpec, Reason, SamplingSpec, Workflow
from apr_agents.dsl.templates import render
from apr_agents.dsl.yaml import MAX_PROBLEMS, load_workflow, parse_workflow
from apr_agents.engines.base import Sampling
from apr_agents.errors import WorkflowError
from apr_agents.runner import Budget

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"
PACKAGE = ROOT / "apr_agents" / "dsl"

FULL = """
name: everything
engine: embedded
dialect: {name: threadweaver, nests: true, truncated: end, max_outlines: 4, teach: Write blocks.}
inputs:
  numbers: {type: integers, min: 1, max: 50, length: [3, 4], default: [1, 2, 3], description: What there is.}
  target: integer
  share: {type: number, min: 0, default: 0.5}
  word: {type: text, max_length: 9}
budget: {branches: 1, run_branches: 2, depth: 3, concurrency: 4, tokens: 5, seconds: 6, retries: 0.5}
steps:
  - reason: ${numbers} $${x}
    mode: calls
    join: {rule: quorum, until: "hit in [0-9]+", count: 2, fail_fast: true, order: completion, ahead: true}
    sampling: {temperature: 1, top_k: 2, top_p: 0.5, max_tokens: 3}
    functions: [solve]
    answer: "answer:"
    check: {name: arithmetic, arguments: {numbers: "${numbers}", target: 5, negative: true}}
"""


def test_every_field() -> None:
    numbers = Input("integers", 1, 50, (3, 4), None, (1, 2, 3), "What there is.")
    word = Input("text", max_length=9)
    assert parse_workflow(FULL, "f") == Workflow(
        name="everything",
        engine="embedded",
        dialect=DialectSpec("threadweaver", nests=True, truncated="end", max_outlines=4, teach="Write blocks."),
        inputs={"numbers": numbers, "target": Input("integer"), "share": Input("number", 0, default=0.5), "word": word},
        budget=BudgetSpec(1, 2, 3, 4, 5, 6.0, 0.5),
        steps=(
            Reason(
                reason="${numbers} $${x}",
                mode="calls",
                join=JoinSpec("quorum", "hit in [0-9]+", 2, None, fail_fast=True, order="completion", ahead=True),
                sampling=SamplingSpec(1.0, 2, 0.5, 3),
                functions=("solve",),
                answer="answer:",
                check=CheckSpec("arithmetic", {"numbers": "${numbers}", "target": 5, "negative": True}),
            ),
        ),
    )


def test_the_smallest_file_leaves_everything_to_defaults() -> None:
    workflow = parse_workflow("name: a\nsteps: [{reason: hello}]", "f")
    assert workflow == Workflow("a", (Reason("hello"),))
    assert workflow.budget.overrides == {}
    (step,) = workflow.steps
    assert isinstance(step, Reason)
    assert step.sampling.overrides == {}
    assert step.join == JoinSpec("all", None, None, None, fail_fast=False, order="number")


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("dialect: threadweaver", "dialect: {name: threadweaver}"),
        ("inputs: {x: text}", "inputs: {x: {type: text}}"),
        ("inputs: {x: {type: integers, length: 3}}", "inputs: {x: {type: integers, length: 3, description: ''}}"),
    ],
)
def test_short_forms(short: str, long: str) -> None:
    steps = "\nname: a\nsteps: [{reason: hello}]"
    assert parse_workflow(short + steps, "f") == parse_workflow(long + steps, "f")


def test_short_forms_in_a_step() -> None:
    short = parse_workflow("name: a\nsteps: [{reason: hello, join: first}]", "f")
    assert short == parse_workflow("name: a\nsteps: [{reason: hello, join: {rule: first}}]", "f")


@pytest.mark.parametrize(
    ("spec", "value", "own"),
    [(DialectSpec, Dialect, {"name"}), (BudgetSpec, Budget, set[str]()), (SamplingSpec, Sampling, {"max_tokens"})],
)
def test_what_is_overridden_is_there(spec: type[Any], value: type[Any], own: set[str]) -> None:
    """Each field of what an author writes is a field of the driver's value, but for its own."""
    assert {one.name for one in fields(spec)} - own <= {one.name for one in fields(value)}


def test_an_override_is_what_was_given() -> None:
    assert DialectSpec("threadweaver", nests=False).overrides == {"nests": False}
    assert BudgetSpec(depth=1, seconds=0.5).overrides == {"depth": 1, "seconds": 0.5}
    assert SamplingSpec(temperature=0.0).overrides == {"temperature": 0.0}


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_examples_load(file: Path) -> None:
    assert load_workflow(file).steps


def test_the_values_are_frozen_and_slotted() -> None:
    for name in ("spec", "inputs", "checked", "places", "arithmetic", "templates"):
        source = (PACKAGE / f"{name}.py").read_text()
        classes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
        assert classes
        for one in classes:
            assert ast.unparse(one.decorator_list[0]).startswith("dataclass(frozen=True, slots=True")


def test_pydantic_stays_at_the_doors() -> None:
    """What comes from a file is validated there, what comes from a store in `apr_agents.plain`; nothing else is."""
    users = {file.name for file in PACKAGE.glob("*.py") if "pydantic import" in file.read_text()}
    assert users == {"yaml.py"}


KEYS = """name steps inputs engine dialect budget reason join rule count check arguments type min max length default
functions sampling tokens numbers int str 0 x"""
keys = st.sampled_from(KEYS.split())
scalars = st.none() | st.booleans() | st.integers(-3, 99) | st.sampled_from([0.5, 1e300, "", "first", "text", "${x}"])
documents = st.recursive(
    scalars | st.sampled_from(["integers", "arithmetic", "threadweaver", "["]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=25,
)
workflows = st.fixed_dictionaries(
    {"name": st.just("a") | documents, "steps": st.just([{"reason": "hello"}]) | documents},
    optional=dict.fromkeys(("inputs", "engine", "dialect", "budget", "x"), documents),
)
steps = st.fixed_dictionaries(
    {"reason": st.just("hello") | documents},
    optional=dict.fromkeys(("mode", "join", "sampling", "functions", "answer", "check"), documents),
)


@given(documents | workflows | steps.map(lambda step: {"name": "a", "steps": [step]}))
def test_any_document_is_a_workflow_or_refused_with_its_lines(data: object) -> None:
    try:
        workflow = parse_workflow(json.dumps(data, indent=1), "f")
    except WorkflowError as error:
        lines = [int(problem.split()[0].removeprefix("f:").split(":")[0]) for problem in error.problems]
        assert lines == sorted(lines)
        assert len(set(error.problems)) == len(error.problems)
    else:
        assert isinstance(workflow, Workflow)


def test_so_many_problems_are_told_and_no_more() -> None:
    text = "".join(f"k{number}: 1\n" for number in range(4_900)) + "name: a\nsteps: [{reason: hello}]\n"
    with pytest.raises(WorkflowError) as caught:
        parse_workflow(text, "f")
    assert len(caught.value.problems) == MAX_PROBLEMS + 1
    assert caught.value.problems[0].startswith("f:1 $.k0: unknown key")
    assert caught.value.problems[-1] == "f: there are more problems than these"


@pytest.mark.parametrize(
    ("written", "verdict"),
    [
        ("hit in 6, answer: 26 - 21 = 5 then 45 / 5 = 9 then 27 - 9 = 18", (True, "each step is true")),
        ("hit in 6, answer: 26 - 21 = 5 then 45 / 5 = 8 then 26 - 8 = 18", (False, "step 2 says 45 / 5 = 8; it is 9")),
        ("hit in 6, answer: 26 - 21 = 5 then 45 / 5 = 9", (False, "the last step gives 9; the target is 18")),
        ("none", (False, "there is no answer")),
    ],
)
def test_the_countdown_example_tells_a_right_answer_from_a_wrong_one(written: str, verdict: tuple[bool, str]) -> None:
    workflow = load_workflow(EXAMPLES / "countdown.yaml")
    (step,) = workflow.steps
    assert isinstance(step, Reason)
    values = read_inputs(workflow.inputs, ["numbers=26 45 27 21", "target=18"])
    assert render(step.reason, values) == "Numbers: 26 45 27 21 Target: 18"
    assert step.check is not None
    checked = run_check(step.check, answer_in(written, step.answer), values)
    assert (checked.ok, checked.detail.startswith(verdict[1])) == (verdict[0], True)


HOSTILE = {
    "keys": "".join(f"k{number}: 1\n" for number in range(4_900)),
    "inputs": "name: a\nsteps: [{reason: x}]\ninputs:\n" + "".join(f" k{n}: {{type: y, u: 1}}\n" for n in range(1_600)),
    "nothing": "".join(f"k{number}:\n" for number in range(4_900)),
    "functions": f"name: a\nsteps: [{{reason: x, functions: [{'a, ' * 9_000}]}}]",
    "default": f"name: a\nsteps: [{{reason: x}}]\ninputs: {{a: {{type: integers, default: [{'a, ' * 9_000}]}}}}",
    "references": f"name: a\nsteps: [{{reason: '{'${x}' * 60_000}'}}]",
    "unclosed": f"name: a\nsteps: [{{reason: '{'${' * 120_000}'}}]",
    "long-key": f"? {'a' * 250_000}\n: 1\n",
    "long-name": f"name: {'a' * 250_000}\n",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_gets_few_short_lines_for_little_memory(text: str) -> None:
    """Plain YAML within its bounds, made to have as many or as large problems as it can."""
    tracemalloc.start()
    try:
        with pytest.raises(WorkflowError) as caught:
            parse_workflow(text, "f")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * 2**20
    assert len(caught.value.problems) <= MAX_PROBLEMS + 1
    assert len(str(caught.value)) < 10_000
