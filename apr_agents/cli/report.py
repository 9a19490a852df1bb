"""`apr report`: the account of a stored trace."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from apr_agents.accounting import account
from apr_agents.cli.refusal import Refusal
from apr_agents.errors import TraceError
from apr_agents.report.json import to_json
from apr_agents.report.svg import svg
from apr_agents.report.text import render
from apr_agents.trace import Trace


@click.command("report")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option("--svg", "picture", type=click.Path(path_type=Path), metavar="FILE", help="Draw it into this file.")
@click.option("--width", type=click.IntRange(80, 200), help="Columns; the terminal's own unless given.")
def command(file: Path, as_json: bool, picture: Path | None, width: int | None) -> None:
    """The account of the trace in FILE, which `apr run --trace FILE` stored.

    Exit status: 0, or 2 for a file that cannot be read or is not a trace.
    """
    try:
        report = account(Trace.read(file))
        if picture is not None:
            picture.write_text(svg(report, width or 100), encoding="utf-8")
    except TraceError as error:
        raise Refusal(str(error)) from error
    except OSError as error:
        raise Refusal(f"{picture}: {error.strerror}") from error
    if as_json:
        click.echo(json.dumps(to_json(report), ensure_ascii=False, indent=2))
    elif picture is None:
        Console(highlight=False, width=width).print(render(report))
