"""Workflow files: guarded YAML, validated into the one model, with each problem at its line."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import cast

from pydantic import BaseModel, ConfigDict, ValidationError

from apr_agents.dsl.checked import Check
from apr_agents.dsl.checks import CHECKS
from apr_agents.dsl.consistency import inconsistencies
from apr_agents.dsl.guard import MAX_BYTES, Document, decode, read
from apr_agents.dsl.kinds import key_of
from apr_agents.dsl.misshapen import misshapen
from apr_agents.dsl.places import Finding, Path, Place, show
from apr_agents.dsl.shapes import written_out
from apr_agents.dsl.spec import Workflow
from apr_agents.errors import WorkflowError
from apr_agents.runner.calls import Function

MAX_PROBLEMS = 50


class WorkflowFile(BaseModel):
    """The door through which plain data becomes a workflow."""

    # Strict, and from JSON: no value is converted, yet lists become tuples and mappings dataclasses.
    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True, alias_generator=key_of
    )
    workflow: Workflow


def load_workflow(
    file: pathlib.Path, checks: Mapping[str, Check] = CHECKS, functions: Mapping[str, Function] | None = None
) -> Workflow:
    """The workflow in this file; `functions` as of `parse_workflow`.

    Raises WorkflowError: unreadable, or all its problems with their places.
    """
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise WorkflowError((f"{file}: {error.strerror or error}; expected a workflow file",)) from error
    if len(raw) > MAX_BYTES:
        raise WorkflowError((f"{file}:1:1 $: larger than {MAX_BYTES} bytes; expected a smaller file",))
    return parse_workflow(decode(raw, str(file)), str(file), checks, functions)


def parse_workflow(
    text: str, name: str, checks: Mapping[str, Check] = CHECKS, functions: Mapping[str, Function] | None = None
) -> Workflow:
    """The workflow in this text, called `name` in errors. Raises WorkflowError with all problems of one kind at once.

    `functions`: all that its steps may call beside those of the language; None: not known yet, and not looked at.

    The kinds, in order: what is no plain YAML (the first place only), fields of a wrong shape, and fields that do
    not go together.
    """
    document = read(text, name)
    empty = list(islice(_empty(document.data, ()), MAX_PROBLEMS + 1))
    data = {"workflow": written_out(Workflow, document.data)}
    try:
        workflow = WorkflowFile.model_validate_json(json.dumps(data)).workflow
    except ValidationError as error:
        errors = error.errors(include_url=False)[: MAX_PROBLEMS + 1]
        findings = empty + misshapen(errors, document.data, {path for path, _ in empty})
        raise _refused(name, document, findings) from None
    findings = empty or list(islice(inconsistencies(workflow, checks, functions), MAX_PROBLEMS + 1))
    if findings:
        raise _refused(name, document, findings)
    return workflow


def _empty(data: object, path: Path) -> Iterator[Finding]:
    """The keys and items without a value: no field of a workflow takes that, and leaving a key out says it better."""
    if data is None:
        yield (
            path,
            f"nothing; expected a value, or the {'item' if path and isinstance(path[-1], int) else 'key'} left out",
        )
    elif isinstance(data, dict):
        for key, value in cast("dict[str, object]", data).items():
            yield from _empty(value, (*path, key))
    elif isinstance(data, list):
        for position, item in enumerate(cast("list[object]", data)):
            yield from _empty(item, (*path, position))


def _refused(name: str, document: Document, findings: list[Finding]) -> WorkflowError:
    """The error for these findings, in the order of the file."""
    placed: list[tuple[Place, str]] = []
    for path, what in findings:
        written = _written(document, path)
        placed.append((document.places[written], f"{show(written)}: {_printable(what)}"))
    lines = [f"{name}:{place.line} {what}" for place, what in sorted(placed)]
    more = (f"{name}: there are more problems than these",) if len(lines) > MAX_PROBLEMS else ()
    return WorkflowError((*dict.fromkeys(lines[:MAX_PROBLEMS]), *more))


def _printable(what: str) -> str:
    """The text without characters that steer a terminal or turn its direction."""
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in what)


def _written(document: Document, path: Path) -> Path:
    """This path, or the nearest above it that is written in the file: a short form leaves a key out."""
    while path not in document.places:
        path = path[:-1]
    return path
