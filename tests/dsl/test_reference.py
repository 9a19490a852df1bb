"""The reference in `dsl/README.md` names every field with its default, and every file in it loads."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from apr_agents.dsl.checks import CHECKS
from apr_agents.dsl.inputs import Input
from apr_agents.dsl.kinds import key_of
from apr_agents.dsl.schema import workflow_schema
from apr_agents.dsl.spec import BudgetSpec, CheckSpec, DialectSpec, JoinSpec, Reason, SamplingSpec, Workflow
from apr_agents.dsl.yaml import parse_workflow
from apr_agents.engines.base import Sampling
from apr_agents.errors import WorkflowError
from apr_agents.runner import Budget

FOLDER = Path(__file__).parent.parent.parent / "dsl"
PAGE = (FOLDER / "README.md").read_text()
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
SECTIONS = {
    "The file": Workflow,
    "Inputs": Input,
    "Steps": Reason,
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


def names(kind: Any) -> list[str]:  # noqa: ANN401
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
def test_defaults_are_those_of_the_driver(section: str, value: Any) -> None:  # noqa: ANN401
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


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_every_file_loads(block: str) -> None:
    """A block that shows a part is completed to a file."""
    whole = block if re.search(r"^name:", block, re.MULTILINE) else f"name: a\n{block}"
    assert parse_workflow(whole if "steps:" in whole else f"{whole}steps: [{{reason: hello}}]\n", "README.md")


def test_every_field_is_shown_in_a_file() -> None:
    written = "\n".join(BLOCKS)
    assert [key for kind in SECTIONS.values() for key in map(key_of, names(kind)) if f"{key}:" not in written] == []


def test_every_check_is_in_the_table() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| `\w+`", PAGE, re.MULTILINE)) >= set(CHECKS)


def test_the_refusal_that_it_shows_is_the_loader_s() -> None:
    (shown,) = re.findall(r"^```text\n(.*?)\n```", PAGE, re.DOTALL | re.MULTILINE)
    with pytest.raises(WorkflowError) as caught:
        parse_workflow("name: a\nsteps:\n  - reason: hello\nbudjet: {tokens: 5}\n", "countdown.yaml")
    assert str(caught.value) == shown
