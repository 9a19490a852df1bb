"""`apr schema`: the JSON Schema of workflow files."""

from __future__ import annotations

import click

from apr_agents.dsl.schema import schema_text


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of workflow files, with a description of each field.

    An editor that is told of it completes and checks: `apr schema > workflow.schema.json`, and as a file's first line
    `# yaml-language-server: $schema=workflow.schema.json`.
    """
    click.echo(schema_text(), nl=False)
