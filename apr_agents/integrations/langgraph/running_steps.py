"""The run inside a workflow's graph: the frame that its nodes share, and how a resumed graph brings it up to date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from langchain_core.runnables import RunnableConfig

from apr_agents.dsl.frame import Frame
from apr_agents.dsl.past import Before, Past, begun, ended, relive
from apr_agents.dsl.spec import Call, Select, Step
from apr_agents.dsl.values import Value
from apr_agents.errors import ContextError, UsageError
from apr_agents.integrations.langgraph.saver import saver_of
from apr_agents.integrations.langgraph.tasks import Tasks

RUNNING = "__apr_running"
"""In the configuration, so that no checkpoint has a copy of the run."""


class Running:
    """A run whose steps are nodes.

    Its mutable state is the frame, the last step's value, and how many steps it knows to have passed.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.value: Value = None
        self._shared = frame.shared
        self._passed = 0

    async def enter(self, state: Mapping[str, Any], step: Step, config: RunnableConfig) -> Before | None:
        """A node begins: what earlier processes did is brought in, and its branches become tasks of this graph. How far
        the run has come; None where nothing is kept."""
        self.catch_up(state)
        kept = saver_of(config) is not None
        self.frame.shared = self._shared
        if not isinstance(step, (Call, Select)):
            tasks = Tasks(config)
            self.frame.shared = replace(self._shared, spawner=tasks, journal=tasks if kept else self._shared.journal)
            if kept:
                await tasks.seal()  # so that what is stored from here on hangs on checkpoints that are stored, too
        return begun(self.frame, self.value) if kept else None

    def catch_up(self, state: Mapping[str, Any]) -> None:
        """Bring in the steps that other processes did. Raises ContextError where a checkpointer lost some of them."""
        steps, passed = state.get("past", []), state.get("passed", 0)
        if len(steps) != passed:
            raise ContextError(
                f"the checkpointer gave back {len(steps)} of the {passed} steps that this run has passed: it has to"
                " keep each checkpoint's parent and writes, as LangGraph's for memory, SQLite and Postgres do"
            )
        for stored in steps[self._passed :]:
            self.value = relive(self.frame, Past.from_json(stored), self.value)
        self._passed = len(steps)

    def leave(self, before: Before | None) -> dict[str, Any]:
        """A node has ended: what it gave and recorded, where that is kept."""
        if before is None:
            return {}
        self._passed += 1
        return {"past": [ended(self.frame, before, self.value).to_json()], "passed": self._passed}


def running_in(config: RunnableConfig) -> Running:
    """The run that this configuration carries. Raises UsageError where there is none."""
    found = config.get("configurable", {}).get(RUNNING)
    if not isinstance(found, Running):
        raise UsageError("a workflow's graph runs inside `workflow_node`; it has no run of its own")
    return found


def carrying(running: Running, config: RunnableConfig) -> RunnableConfig:
    """This configuration with the run in it."""
    return cast("RunnableConfig", {**config, "configurable": {**config.get("configurable", {}), RUNNING: running}})
