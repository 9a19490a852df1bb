"""`apr check`: whether workflow files are well formed, with all problems of each at once."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from apr_agents.cli.refusal import Refusal
from apr_agents.dsl.functions import load_functions
from apr_agents.dsl.yaml import load_workflow
from apr_agents.errors import UsageError, WorkflowError
from apr_agents.runner.calls import Function

_PATH = r'\$(?:\.\w+|\[\d+\]|\["(?:[^"\\]|\\.)*"\])*'
_PROBLEM = re.compile(rf":(?P<line>\d+)(:(?P<column>\d+))? (?P<path>{_PATH}): (?P<what>.+)")
"""A problem without the file's name before it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a file."""

    line: int | None
    """Counted from 1; None: it is the whole file's."""
    column: int | None
    """Counted from 1; None: the line says it well enough."""
    path: str | None
    """The place in the file's data, such as `$.steps[0].reason`."""
    message: str
    """What is there, and what was expected."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of one file."""

    file: str
    problems: tuple[str, ...]
    """One line for each; none: the file is a workflow."""
    status: int
    """0: a workflow. 1: none. 2: a file that cannot be read."""


@click.command("check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--functions", type=click.Path(path_type=Path), help="A Python file with the functions that the files call."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(files: tuple[Path, ...], functions: Path | None, as_json: bool) -> None:
    """Check workflow files without running them: each problem as `FILE:LINE $.path: what, and what was expected`.

    What it finds nothing wrong with, `apr run` begins. Exit status: 0 when all are workflows, 1 when one is not, 2 when
    one cannot be read.
    """
    try:
        known = load_functions(functions) if functions else {}
    except UsageError as error:
        raise Refusal(str(error)) from error
    verdicts = [check(file, known) for file in files]
    if as_json:
        click.echo(json.dumps(as_object(verdicts), ensure_ascii=False, indent=2))
    else:
        for verdict in verdicts:
            click.echo("\n".join(verdict.problems) or f"{verdict.file}: ok")
    sys.exit(max(verdict.status for verdict in verdicts))


def check(file: Path, functions: Mapping[str, Function]) -> Verdict:
    """What is to be said of this file, which may call these functions beside those of the language."""
    try:
        load_workflow(file, functions=functions)
    except WorkflowError as error:
        return Verdict(str(file), error.problems, 2 if isinstance(error.__cause__, OSError) else 1)
    return Verdict(str(file), (), 0)


def as_object(verdicts: list[Verdict]) -> dict[str, object]:
    """The verdicts as plain data."""
    files = [
        {
            "file": one.file,
            "ok": one.status == 0,
            "problems": [asdict(problem_in(line, one.file)) for line in one.problems],
        }
        for one in verdicts
    ]
    return {"ok": all(one.status == 0 for one in verdicts), "files": files}


def problem_in(line: str, file: str) -> Problem:
    """The problem that this line of a WorkflowError tells of this file."""
    told = line.removeprefix(file)
    found = _PROBLEM.fullmatch(told)
    if found is None:
        return Problem(None, None, None, told.removeprefix(": "))
    column = found["column"]
    return Problem(int(found["line"]), int(column) if column else None, found["path"], found["what"])
