"""The reference in `dsl/README.md` names every field with its default; every file in it loads and runs by script."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from apr_agents.dsl import spec
from apr_agents.dsl.builtins import BUILTINS
from apr_agents.dsl.checks import CHECKS
from apr_agents.dsl.inputs import Input
from apr_agents.dsl.kinds import key_of, kind_key
from apr_agents.dsl.schema import workflow_schema
from apr_agents.dsl.shapes import kinds_of
from apr_agents.dsl.spec import BudgetSpec, CheckSpec, DialectSpec, JoinSpec, SamplingSpec, Workflow
from apr_agents.dsl.workflows import WORKFLOWS
from apr_agents.dsl.yaml import parse_workflow
from apr_agents.engines.base import Sampling
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.errors import WorkflowError
from apr_agents.runner import Budget
from apr_agents.runner.calls import Function
from tests.dsl.playing import play
from tests.support.scripts import THREADWEAVER

FOLDER = Path(__file__).parent.parent.parent / "dsl"
PAGE = (FOLDER / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


BLOCKS = blocks("yaml")
STEPS = {one.__name__: one for one in kinds_of(spec.Step)}
CONDITIONS = {kind_key(one): one for one in kinds_of(spec.Condition)}
SECTIONS = {
    "The file": Workflow,
    "Inputs": Input,
    **STEPS,
    "Join": JoinSpec,
    "Sampling": SamplingSpec,
    "Check": CheckSpec,
    "Dialect": DialectSpec,
    "Budget": BudgetSpec,
}


def rows(section: str) -> dict[str, tuple[str, str]]:
    """The default and the bounds that the section's first table gives for each key."""
    text = re.split(rf"^##+ {section}$", PAGE, flags=re.MULTILINE)[1].split("\n#")[0]
    table = text.partition("| --- |")[2].partition("\n\n")[0]
    found = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]*) \| ?([^|]*) ?\|$", table, re.MULTILINE)
    return {key: (default, bounds) for key, default, bounds in found}


def names(kind: type[Any]) -> list[str]:
    return [one.name for one in fields(kind)]


def test_the_first_line_says_where_the_code_is() -> None:
    assert "apr_agents/dsl/" in PAGE.splitlines()[0]
    assert not list(FOLDER.rglob("*.py"))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_is_in_its_table(section: str) -> None:
    required = {key_of(one.name) for one in fields(SECTIONS[section]) if one.default is one.default_factory is MISSING}
    found = rows(section)
    assert set(found) == {key_of(one.name) for one in fields(SECTIONS[section])}
    assert {name for name, (default, _) in found.items() if default == "required"} == required


@pytest.mark.parametrize(("section", "value"), [("Budget", Budget()), ("Sampling", Sampling()), ("Join", JoinSpec())])
def test_defaults_are_those_of_the_driver(section: str, value: object) -> None:
    for name, (default, _) in rows(section).items():
        actual = getattr(value, name, None)
        if actual is not None:
            assert default.split(",")[0].strip("`") == str(actual).removesuffix("False") + "false" * (actual is False)


@pytest.mark.parametrize("section", SECTIONS)
def test_bounds_are_those_of_the_model(section: str) -> None:
    schema = workflow_schema()
    shape = {**schema["$defs"], "Workflow": schema}[SECTIONS[section].__name__]
    properties = shape.get("properties") or shape["anyOf"][1]["properties"]
    for name, (_, bounds) in rows(section).items():
        one = properties[name]
        limits = {one[key] for key in ("minimum", "maximum", "minLength", "maxLength", "maxProperties") if key in one}
        assert limits <= set(map(int, re.findall(r"\d+", bounds))), name
        assert ("exclusiveMinimum" in one) == ("above 0" in bounds), name


def whole(block: str) -> str:
    """A block that shows a part, completed to a file."""
    named = block if re.search(r"^name:", block, re.MULTILINE) else f"name: a\n{block}"
    return named if "steps:" in named else f"{named}steps: [{{reason: hello}}]\n"


@pytest.fixture(scope="module")
def functions() -> dict[str, Any]:
    """Those that the page gives for its files."""
    (block,) = [block for block in blocks("python") if "import" not in block]
    found: dict[str, Any] = {}
    exec(block, found)
    return {name: one for name, one in found.items() if not name.startswith("_")}


VALUES: dict[str, Any] = {
    "integer": 7, "number": 0.5, "integers": [3, 7, 5], "text": "the sea", "texts": ["one", "two", "three"]
}  # fmt: skip


def says(question: str) -> str:
    """A model that answers whatever the page asks."""
    said = "- Mars, fine: 7 and 8, answer: 7 or 8, score: 7"
    return f"{said}</Thread>" if question.startswith("<Thread>") else said


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
async def test_every_file_loads_and_runs(block: str, functions: dict[str, Any]) -> None:
    known = {name: Function.of(one) for name, one in functions.items()}
    workflow = parse_workflow(whole(block), "README.md", functions=known)
    inputs = {name: VALUES[one.type] for name, one in workflow.inputs.items() if one.default is None}
    if workflow.name == "countdown":
        inputs |= {"numbers": [3, 7, 5]}
    answered = (await play(whole(block), says, functions=functions, **inputs)).answered
    assert answered.result.ended == "answered", answered.result.detail
    assert answered.value is not None


async def test_what_the_page_writes_in_python_is_the_file_above_it() -> None:
    (block,) = [block for block in blocks("python") if "import" in block]
    (file,) = [block for block in BLOCKS if block.startswith("name: vote")]
    found: dict[str, Any] = {}
    exec(block, found)
    assert found["vote"].workflow == parse_workflow(file, "vote.yaml")
    async with ScriptedEngine(lambda _: Reply("so"), THREADWEAVER) as engine:
        assert (await found["vote"].run(engine, question="why?")).value == "so"


def test_every_field_is_shown_in_a_file() -> None:
    written = "\n".join(BLOCKS)
    kinds = (*SECTIONS.values(), *CONDITIONS.values())
    assert [key for kind in kinds for key in map(key_of, names(kind)) if f"{key}:" not in written] == []


def test_every_kind_of_step_and_condition_is_in_its_table() -> None:
    overview = PAGE.split("\n## Steps\n")[1].partition("\n### ")[0]
    assert re.findall(r"^\| \[`(\w+)`\]", overview, re.MULTILINE) == [kind_key(one) for one in STEPS.values()]
    conditions = PAGE.split("\n### Conditions\n")[1].partition("\n### ")[0]
    assert re.findall(r"^\| `(\w+)` \|", conditions, re.MULTILINE) == list(CONDITIONS)


def test_every_function_of_the_language_is_in_the_table() -> None:
    table = PAGE.split("\n## Functions\n")[1].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    named = {name: row for row in rows for name in re.findall(r"`([\w.]+)`", row.split("|")[1])}
    assert set(named) == set(BUILTINS)
    for name, row in named.items():
        assert set(re.findall(r"`(\w+)`", row.split("|")[2])) - {"false"} == set(
            BUILTINS[name].schema()["properties"]
        ), name


def test_every_ready_made_workflow_is_in_the_table() -> None:
    found = re.findall(r"^\| \[`([\w-]+)`\]\((workflows/[\w.-]+)\)", PAGE, re.MULTILINE)
    assert {name for name, _ in found} == set(WORKFLOWS) == {file.stem for file in FOLDER.glob("workflows/*.yaml")}
    assert all((FOLDER / file).is_file() for _, file in found)


def test_every_link_on_the_page_has_its_place() -> None:
    anchors = {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in re.findall(r"^#+ (.+)$", PAGE, re.M)}
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= anchors


def test_every_check_is_in_the_table() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| `\w+`", PAGE, re.MULTILINE)) >= set(CHECKS)


def test_the_refusal_that_it_shows_is_the_loader_s() -> None:
    (shown,) = re.findall(r"^```text\n(.*?)\n```", PAGE, re.DOTALL | re.MULTILINE)
    with pytest.raises(WorkflowError) as caught:
        parse_workflow("name: a\nsteps:\n  - reason: hello\nbudjet: {tokens: 5}\n", "countdown.yaml")
    assert str(caught.value) == shown
