"""The checkpointer that a graph runs with, as seen from inside a node.

LangGraph hands it down in the node's configuration, under keys that it documents nowhere: they are read here only, and
a test fails when they change.
"""

from __future__ import annotations

from typing import Any, Literal, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

_SAVER = "__pregel_checkpointer"
_DURABILITY = "__pregel_durability"

Saver = BaseCheckpointSaver[Any]


def saver_of(config: RunnableConfig) -> Saver | None:
    """The checkpointer of the running graph; None: it has none."""
    found = config.get("configurable", {}).get(_SAVER)
    return cast("Saver", found) if isinstance(found, BaseCheckpointSaver) else None


def with_saver(config: RunnableConfig, saver: Saver) -> RunnableConfig:
    """This configuration for graphs that are to keep their checkpoints with this one."""
    return {**config, "configurable": {**config.get("configurable", {}), _SAVER: saver}}


def durability_of(config: RunnableConfig) -> Literal["sync", "async", "exit"]:
    """When the running graph stores what its tasks gave."""
    return config.get("configurable", {}).get(_DURABILITY, "async")


def graph_config(config: RunnableConfig) -> RunnableConfig:
    """Where the graph whose node has this configuration keeps its checkpoints."""
    given = config.get("configurable", {})
    namespace = str(given.get("checkpoint_ns", "")).rpartition("|")[0]
    around = given.get("checkpoint_map")
    return {
        "configurable": {
            "thread_id": given.get("thread_id"),
            "checkpoint_ns": namespace,
            "checkpoint_map": around,
        }
    }
