"""`apr run`: a workflow file, its inputs and an engine become an answer and an account."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import anyio
import click

from apr_agents.cli.live import watcher
from apr_agents.cli.output import as_object, say, write_trace
from apr_agents.cli.refusal import Refusal
from apr_agents.dsl.execute import stream_workflow
from apr_agents.dsl.functions import load_functions
from apr_agents.dsl.inputs import Value, read_inputs
from apr_agents.dsl.live import Answered, LiveWorkflow
from apr_agents.dsl.spec import Reason, Workflow
from apr_agents.dsl.templates import render
from apr_agents.dsl.yaml import load_workflow
from apr_agents.engines.opening import open_engine
from apr_agents.errors import AprError, EngineError, UsageError
from apr_agents.runner import Function

_EXIT_INTERRUPTED = 130


@click.command("run")
@click.argument("workflow", type=click.Path(path_type=Path))
@click.option("--input", "inputs", metavar="NAME=VALUE", multiple=True, help="An input of the workflow; repeatable.")
@click.option(
    "--engine", metavar="SPEC", help="embedded, embedded:FILE.gguf, sglang:URL, litellm:MODEL; else the workflow's."
)
@click.option("--engine-option", "options", metavar="KEY=VALUE", multiple=True, help="Such as threads=4; repeatable.")
@click.option(
    "--functions",
    type=click.Path(path_type=Path),
    help="A Python file with functions that outlines and steps call.",
)
@click.option("--mode", type=click.Choice(["adaptive", "sequential"]), default="adaptive", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same run.")
@click.option("--trace", type=click.Path(path_type=Path), help="Store the trace here, for `apr report`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    workflow: Path,
    inputs: tuple[str, ...],
    engine: str | None,
    options: tuple[str, ...],
    functions: Path | None,
    mode: Literal["adaptive", "sequential"],
    seed: int,
    trace: Path | None,
    as_json: bool,
) -> None:
    """Answer the question of the file WORKFLOW; the model forks its reasoning where it decides to.

    Exit status: 0 when the run ended as it should and the workflow's check holds, 1 when not, 2 for bad usage or a bad
    file, 130 for Ctrl-C.
    """
    try:
        known = load_functions(functions) if functions else {}
        job = Job(load_workflow(workflow, functions=known), inputs, engine, options, known, mode, seed)
    except AprError as error:
        raise Refusal(str(error)) from error
    interrupted = False
    try:
        anyio.run(job.run, not as_json or sys.stderr.isatty())
    except KeyboardInterrupt:
        interrupted = True
    except (UsageError, EngineError) as error:
        raise Refusal(str(error)) from error
    answered = job.answered(interrupted=interrupted)
    if answered is None:
        sys.exit(_EXIT_INTERRUPTED)
    if trace is not None:
        write_trace(trace, answered.result.trace)
    if as_json:
        click.echo(json.dumps(as_object(answered), ensure_ascii=False, indent=2))
    else:
        say(job.question, answered)
    sys.exit(_EXIT_INTERRUPTED if interrupted else int(not answered.ok))


class Job:
    """One use of the command. Its mutable state is the result, so that Ctrl-C finds what there is.

    Raises AprError for inputs, options or functions that cannot be meant, before anything runs.
    """

    def __init__(
        self,
        workflow: Workflow,
        inputs: tuple[str, ...],
        engine: str | None,
        options: tuple[str, ...],
        functions: Mapping[str, Function],
        mode: Literal["adaptive", "sequential"],
        seed: int,
    ) -> None:
        self.workflow = workflow
        self.values: Mapping[str, Value] = read_inputs(workflow.inputs, inputs)
        self.engine = open_engine(engine or workflow.engine or "embedded", read_options(options))
        self.functions = functions
        self.mode: Literal["adaptive", "sequential"] = mode
        self.seed = seed
        self._answered: Answered | None = None

    async def run(self, watched: bool) -> None:
        """Run to the end, telling how it goes on standard error."""
        from apr_agents.integrations.langgraph.steps import steps_graph
        from apr_agents.integrations.langgraph.workflow import through

        async with self.engine as engine:
            live: LiveWorkflow | None = None
            try:
                async with stream_workflow(
                    self.workflow,
                    engine,
                    self.values,
                    mode=self.mode,
                    seed=self.seed,
                    functions=self.functions,
                    course=through(steps_graph(self.workflow)),
                ) as live:
                    with watcher(watched=watched) as show:
                        async for progress in live:
                            show(progress)
            finally:
                # Also on Ctrl-C, and before the engine closes.
                self._answered = live.answered() if live else None

    def answered(self, *, interrupted: bool) -> Answered | None:
        """The answer and the check's verdict; None when it was interrupted before the run began."""
        answered = self._answered
        if answered is None or not interrupted:
            return answered
        trace = replace(answered.result.trace, ended="interrupted")
        return replace(answered, result=replace(answered.result, ended="interrupted", trace=trace))

    @property
    def question(self) -> str:
        """What is asked: the text of a workflow that is one question, else the workflow's name."""
        (first, *others) = self.workflow.steps
        return render(first.reason, self.values) if isinstance(first, Reason) and not others else self.workflow.name


def read_options(pairs: tuple[str, ...]) -> dict[str, str]:
    """Engine options from `KEY=VALUE` texts. Raises UsageError for any other text."""
    options: dict[str, str] = {}
    for pair in pairs:
        key, found, value = pair.partition("=")
        if not (key and found):
            raise UsageError(f"--engine-option {pair}: KEY=VALUE is needed, such as threads=4")
        options[key] = value
    return options
