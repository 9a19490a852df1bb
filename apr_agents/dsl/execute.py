"""The doors of workflows: `run_workflow` gives what came of one, `stream_workflow` its progress while it goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from apr_agents.dsl.checked import Check
from apr_agents.dsl.checks import CHECKS
from apr_agents.dsl.inputs import bind_inputs
from apr_agents.dsl.live import Answered, Course, LiveWorkflow, in_order
from apr_agents.dsl.program import Mode, Program
from apr_agents.dsl.spec import Workflow
from apr_agents.engines.base import Engine
from apr_agents.runner.calls import Function
from apr_agents.runner.journal import Journal
from apr_agents.runner.spawner import Spawner, TaskSpawner


@asynccontextmanager
async def stream_workflow(
    workflow: Workflow,
    engine: Engine,
    inputs: Mapping[str, object],
    *,
    mode: Mode = "adaptive",
    seed: int = 0,
    functions: Mapping[str, Function] | None = None,
    checks: Mapping[str, Check] = CHECKS,
    spawner: Spawner | None = None,
    journal: Journal | None = None,
    run_id: str | None = None,
    course: Course = in_order,
) -> AsyncGenerator[LiveWorkflow]:
    """A run of this workflow on an open engine, as a block: leaving it early cancels all of it in the engine.

    `functions`: what it may call beside those of the language. `mode`: `sequential` never lets the model fork.
    `course`: what takes it from step to step.

    What goes wrong in the run is in its result. Raises WorkflowError for inputs that do not fit, DialectError, and
    UsageError for a function that nobody gives.
    """
    values = bind_inputs(workflow.inputs, inputs)
    program = Program.of(workflow, engine, mode=mode, seed=seed, functions=functions, checks=checks)
    live = LiveWorkflow(program, engine, values, spawner or TaskSpawner(), journal, run_id, course)
    async with live.going():
        yield live


async def run_workflow(
    workflow: Workflow,
    engine: Engine,
    inputs: Mapping[str, object],
    *,
    mode: Mode = "adaptive",
    seed: int = 0,
    functions: Mapping[str, Function] | None = None,
    checks: Mapping[str, Check] = CHECKS,
    spawner: Spawner | None = None,
    journal: Journal | None = None,
    run_id: str | None = None,
    course: Course = in_order,
) -> Answered:
    """What came of this workflow on an open engine; arguments and errors as of `stream_workflow`."""
    async with stream_workflow(
        workflow,
        engine,
        inputs,
        mode=mode,
        seed=seed,
        functions=functions,
        checks=checks,
        spawner=spawner,
        journal=journal,
        run_id=run_id,
        course=course,
    ) as live:
        await live.finish()
        return live.answered()
