"""A traced function's parameters are the workflow's inputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, cast, get_args, get_origin

from apr_agents.dsl.inputs import Input
from apr_agents.errors import UsageError

Integers = list[int]
"""A parameter that takes whole numbers."""
Texts = list[str]
"""A parameter that takes texts."""

_TYPES: dict[object, Input] = {
    int: Input("integer"),
    float: Input("number"),
    str: Input("text"),
    list[int]: Input("integers"),
    list[str]: Input("texts"),
}


def inputs_of(function: Callable[..., Any]) -> dict[str, Input]:
    """An input for each parameter: its annotation is the type, `Annotated[int, Input(...)]` has bounds as well, and its
    default is the input's. Raises UsageError for any other parameter."""
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    return {one.name: _input(function.__name__, one) for one in parameters}


def _input(function: str, parameter: inspect.Parameter) -> Input:
    kind: object = parameter.annotation
    bounds = [one for one in get_args(kind)[1:] if isinstance(one, Input)] if get_origin(kind) is Annotated else []
    found = bounds[0] if bounds else _TYPES.get(kind)
    if found is None or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        expected = "int, float, str, list[int], list[str] or an Input"
        raise UsageError(f"{function}: the parameter `{parameter.name}` is no input; annotate it as {expected}")
    if parameter.default is parameter.empty:
        return found
    default: object = parameter.default
    return replace(found, default=tuple(cast("list[object]", default)) if isinstance(default, list) else default)
