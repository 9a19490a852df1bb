"""The JSON Schema says what the loader accepts, explains every field, and is written in `dsl/`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from apr_agents.dsl.guard import read
from apr_agents.dsl.schema import schema_text, workflow_schema
from apr_agents.dsl.shapes import written_out
from apr_agents.dsl.spec import Workflow
from apr_agents.dsl.values import Value
from apr_agents.dsl.yaml import WorkflowFile
from apr_agents.errors import WorkflowError
from tests.dsl.test_workflow import FULL

ROOT = Path(__file__).parent.parent.parent
INVALID = ROOT / "tests" / "data" / "invalid"
VALIDATOR = Draft202012Validator(workflow_schema())


def test_the_schema_in_the_folder_is_the_model_s() -> None:
    assert (ROOT / "dsl" / "workflow.schema.json").read_text() == schema_text(), "run `make schema`"


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(workflow_schema())


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda file: file.stem)
def test_examples_validate(file: Path) -> None:
    VALIDATOR.validate(yaml.safe_load(file.read_text()))


def test_a_file_with_every_field_validates() -> None:
    VALIDATOR.validate(yaml.safe_load(FULL))


def invalid() -> Iterator[Any]:
    for file in sorted(INVALID.glob("*.yaml")):
        try:
            data = read(file.read_text("utf-8"), file.name).data
        except (WorkflowError, UnicodeDecodeError):
            continue  # not plain YAML, which is not for a schema to say
        # 5.0 is an integer to a schema
        yield pytest.param(data, file.stem == "fraction-of-a-token" or has_its_shape(data), id=file.stem)


def has_its_shape(data: object) -> bool:
    """Whether each field is of its type; what is wrong is what the fields mean together, which no schema says."""
    text = json.dumps({"workflow": written_out(Workflow, data)})
    try:
        WorkflowFile.model_validate_json(text)
    except ValidationError as error:
        places = [one["loc"] for one in error.errors()]
        # a list whose item is refused is refused itself, as too short
        inmost = [one for one in error.errors() if sum(place[: len(one["loc"])] == one["loc"] for place in places) == 1]
        return all(one["type"] == "value_error" for one in inmost)
    return "null" not in text  # which no field takes


@pytest.mark.parametrize(("data", "fits"), list(invalid()))
def test_the_schema_refuses_what_has_the_wrong_shape(data: Value, *, fits: bool) -> None:
    assert VALIDATOR.is_valid(data) is fits


def test_every_field_is_described() -> None:
    schema = workflow_schema()
    shapes = [schema, *(branch for shape in schema["$defs"].values() for branch in shape.get("anyOf", [shape]))]
    properties = [(name, one) for shape in shapes for name, one in shape.get("properties", {}).items()]
    assert properties
    assert [name for name, one in properties if not one.get("description", "").strip(" .")] == []
