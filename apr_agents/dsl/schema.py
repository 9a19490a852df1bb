"""The JSON Schema of a workflow file, made from the model's own types, for editors and other tools."""

from __future__ import annotations

import json
import sys
from typing import Any, cast

from apr_agents.dsl import spec
from apr_agents.dsl.inputs import Input
from apr_agents.dsl.yaml import WorkflowFile

Schema = dict[str, Any]

_SHORT = {one.__name__: one.short for one in (Input, spec.DialectSpec, spec.JoinSpec, spec.CheckSpec)}


def workflow_schema() -> Schema:
    """The schema, of draft 2020-12. It says the shape of a file; what fields mean together only loading it tells."""
    made = WorkflowFile.model_json_schema()
    shapes = {name: _short_or_long(name, _plain(shape)) for name, shape in made["$defs"].items()}
    workflow = shapes.pop("Workflow")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **workflow, "$defs": shapes}


def schema_text() -> str:
    """The schema as the text of `dsl/workflow.schema.json`."""
    return json.dumps(workflow_schema(), indent=2, ensure_ascii=False) + "\n"


def _short_or_long(name: str, shape: Schema) -> Schema:
    """A shape, or the one value that stands for it."""
    short = _SHORT.get(name)
    return shape if short is None else {"anyOf": [shape["properties"][short], shape]}


def _plain(schema: Schema) -> Schema:
    """The schema without null, which no field takes in a file, without defaults made of fields, and without titles."""
    made = {key: _inside(key, value) for key, value in schema.items() if key != "title"}
    if made.get("default", ()) is None or isinstance(made.get("default"), dict):
        del made["default"]
    choices = [one for one in made.pop("anyOf", ()) if one != {"type": "null"}]
    if len(choices) == 1:
        return {**choices[0], **made}
    return {**made, "anyOf": choices} if choices else made


def _inside(key: str, value: Any) -> Any:  # noqa: ANN401 - whatever a schema has at this key
    """The value with the schemas in it made plain."""
    if key == "properties":
        return {name: _plain(one) for name, one in value.items()}
    if key in ("anyOf", "prefixItems"):
        return [_plain(one) for one in value]
    return (
        _plain(cast("Schema", value)) if key in ("items", "additionalProperties") and isinstance(value, dict) else value
    )


if __name__ == "__main__":
    sys.stdout.write(schema_text())
