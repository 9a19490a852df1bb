"""A workflow as plain data, the way its file has it: what is left out there is left out here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, cast

from apr_agents.dsl.kinds import key_of
from apr_agents.dsl.spec import Workflow


def as_file(workflow: Workflow) -> str:
    """A workflow file of this value, as JSON, which is YAML too."""
    return json.dumps(as_data(workflow), indent=2, ensure_ascii=False) + "\n"


def as_data(value: object) -> object:
    """The value as JSON; of a dataclass the fields that are not as by default."""
    if is_dataclass(value):
        given = ((one, getattr(value, one.name)) for one in fields(value))
        return {key_of(one.name): as_data(found) for one, found in given if found != _default(one)}
    if isinstance(value, Mapping):
        return {key: as_data(one) for key, one in cast("Mapping[str, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [as_data(one) for one in cast("Sequence[object]", value)]
    return value


def _default(one: Field[Any]) -> object:
    return one.default_factory() if one.default_factory is not MISSING else one.default
