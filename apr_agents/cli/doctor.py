"""`apr doctor`: what an engine is and can do, and which settings cost prefix hits or figures."""

from __future__ import annotations

import json
import sys

import anyio
import click
from rich.console import Console
from rich.text import Text

from apr_agents.cli.refusal import Refusal
from apr_agents.cli.run import read_options
from apr_agents.dialects import Dialect, load_dialect
from apr_agents.doctor.examine import examine
from apr_agents.doctor.facts import Facts
from apr_agents.doctor.findings import Finding, findings
from apr_agents.doctor.telling import as_object, lines
from apr_agents.engines.base import Engine
from apr_agents.engines.opening import open_engine
from apr_agents.errors import AprError


@click.command("doctor")
@click.option("--engine", "spec", metavar="SPEC", default="embedded", show_default=True, help="As of `apr run`.")
@click.option("--engine-option", "options", metavar="KEY=VALUE", multiple=True, help="Such as threads=4; repeatable.")
@click.option("--dialect", "name", default="threadweaver", show_default=True, help="A shipped dialect, or a YAML file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(spec: str, options: tuple[str, ...], name: str, as_json: bool) -> None:
    """Say what an engine is and can do, and name each setting that costs prefix hits or figures, with what mends it.

    It sends a few requests for one token. Exit status: 0 when all is well, 1 when there is something to mend, 2 when
    the engine cannot be opened.
    """
    try:
        engine = open_engine(spec, read_options(options))
        facts = anyio.run(_facts, engine, spec, load_dialect(name))
    except AprError as error:
        raise Refusal(str(error)) from error
    found = findings(facts)
    if as_json:
        click.echo(json.dumps(as_object(facts, found), ensure_ascii=False, indent=2))
    else:
        _say(facts, found)
    sys.exit(int(bool(found)))


async def _facts(engine: Engine, spec: str, dialect: Dialect) -> Facts:
    async with engine:
        return await examine(engine, spec, dialect)


def _say(facts: Facts, found: tuple[Finding, ...]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for word, said in lines(facts):
        console.print(Text.assemble((f"{word:<10}", "dim"), said))
    console.print()
    for finding in found:
        console.print(Text.assemble((finding.name, "bold red"), f": {finding.costs}"))
        console.print(Text.assemble((f"{'':<10}mend: ", "dim"), finding.mend))
    if not found:
        console.print(Text("nothing costs prefix hits or figures", "green"))
