"""The JSON Schema of a workflow file, made from the model's own types, for editors and other tools."""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any, cast

from apr_agents.dsl import spec
from apr_agents.dsl.inputs import Input
from apr_agents.dsl.shapes import kinds_of
from apr_agents.dsl.yaml import WorkflowFile

Schema = dict[str, Any]

_PARTS = (Input, spec.DialectSpec, spec.BudgetSpec, spec.SamplingSpec, spec.JoinSpec, spec.CheckSpec)
_SHAPES = (*_PARTS, *kinds_of(spec.Step), *kinds_of(spec.Condition))


def workflow_schema() -> Schema:
    """The schema, of draft 2020-12. It says the shape of a file; what fields mean together only loading it tells."""
    made = WorkflowFile.model_json_schema()["$defs"]
    shapes = {kind.__name__: _short_or_long(kind, _shape(kind, made[kind.__name__])) for kind in _SHAPES}
    shapes["Data"] = {"description": "A JSON value, but for null.", **_plain(made["Data"])}
    top = _shape(spec.Workflow, made["Workflow"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "$defs": shapes}


def schema_text() -> str:
    """The schema as the text of `dsl/workflow.schema.json`."""
    return json.dumps(workflow_schema(), indent=2, ensure_ascii=False) + "\n"


def _shape(kind: type, schema: Schema) -> Schema:
    """The schema of a class, closed and explained whether or not this version of pydantic says so."""
    return {"description": inspect.getdoc(kind), "additionalProperties": False} | _plain(schema)


def _short_or_long(kind: type, shape: Schema) -> Schema:
    """A shape, or the one value that stands for it."""
    short = getattr(kind, "short", None)
    return shape if short is None else {"anyOf": [shape["properties"][short], shape]}


def _plain(schema: Schema) -> Schema:
    """The schema without null, which no field takes in a file, without defaults made of fields, and without titles."""
    # sorted, since the order of keywords is no promise of the library that makes them
    made: Schema = {key: _inside(key, schema[key]) for key in sorted(schema) if key != "title"}
    if made.get("default", ()) is None or isinstance(made.get("default"), dict):
        del made["default"]
    choices = [one for one in made.pop("anyOf", made.pop("oneOf", ())) if one != {"type": "null"}]
    if len(choices) == 1:
        return {**choices[0], **made}
    return {**made, "anyOf": choices} if choices else made


def _inside(key: str, value: object) -> object:
    """The value with the schemas in it made plain."""
    if key == "properties":
        return {name: _plain(one) for name, one in cast("dict[str, Schema]", value).items()}
    if key in ("anyOf", "oneOf", "prefixItems"):
        return [_plain(one) for one in cast("list[Schema]", value)]
    if key in ("items", "additionalProperties") and isinstance(value, dict):
        return _plain(cast("Schema", value))
    return value


if __name__ == "__main__":
    sys.stdout.write(schema_text())
