"""The command `apr`. Exit status: 0 when all is as it should be, 1 when not, 2 for bad usage, 130 for Ctrl-C."""

from __future__ import annotations

from importlib import import_module, metadata

import click

_COMMANDS = {
    "run": "answer a workflow's question, forking where the model decides to",
    "check": "whether workflow files are well formed, with all problems at once",
    "graph": "a workflow's steps as a Mermaid graph",
    "schema": "the JSON Schema of workflow files, for editors",
    "report": "the account of a stored trace",
    "doctor": "what an engine is and can do, and which of its settings cost prefix hits or figures",
    "parse": "the blocks of a stored transcript, and what is malformed in them",
}


class _Group(click.Group):
    """Commands by name; each lives in a module of its own, which is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        return import_module(f"apr_agents.cli.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(metadata.version("apr-agents"), prog_name="apr")
def main() -> None:
    """Adaptive parallel reasoning: a model forks its own reasoning, and each run is accounted for."""
