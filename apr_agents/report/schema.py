"""The JSON Schema of what `apr run --json` prints, made from the values themselves and their docstrings."""

from __future__ import annotations

from typing import Any

from apr_agents.report.json import RunOutput

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def run_schema() -> dict[str, Any]:
    """The schema of the whole object: each property is described, and there is none beside them."""
    from pydantic import TypeAdapter

    return {"$schema": DRAFT, **TypeAdapter(RunOutput).json_schema(mode="serialization"), "title": "apr run --json"}
