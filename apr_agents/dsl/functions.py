"""The functions that outlines may call, from a Python file that the caller names. A workflow file names no file."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Mapping
from pathlib import Path

from apr_agents.dsl.builtins import BUILTINS
from apr_agents.errors import UsageError
from apr_agents.runner.calls import Function


def registry(given: Mapping[str, Function]) -> dict[str, Function]:
    """What a workflow may call: the functions of the language, and those that are given, which come first."""
    return {**BUILTINS, **given}


def load_functions(file: Path) -> dict[str, Function]:
    """The public functions that this file defines, by name. Runs the file; raises UsageError when it cannot be run."""
    name = f"apr_functions_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise UsageError(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the caller's file may raise anything
        raise UsageError(f"{file}: {type(error).__name__}: {error}") from error
    found = {key: value for key, value in vars(module).items() if inspect.isfunction(value) and not key.startswith("_")}
    return {key: Function.of(value) for key, value in found.items() if value.__module__ == name}
