"""`apr graph`: a workflow's steps as a Mermaid graph."""

from __future__ import annotations

from pathlib import Path

import click

from apr_agents.cli.refusal import Refusal
from apr_agents.dsl.yaml import load_workflow
from apr_agents.errors import WorkflowError


@click.command("graph")
@click.argument("workflow", type=click.Path(path_type=Path))
def command(workflow: Path) -> None:
    """Print the steps of the file WORKFLOW as a Mermaid graph: the graph that `apr run` runs.

    A fork or a map is one node. Exit status: 0, or 2 for a bad file.
    """
    try:
        loaded = load_workflow(workflow)
    except WorkflowError as error:
        raise Refusal(str(error)) from error
    from apr_agents.integrations.langgraph.steps import steps_graph

    click.echo(steps_graph(loaded).get_graph().draw_mermaid().rstrip())
