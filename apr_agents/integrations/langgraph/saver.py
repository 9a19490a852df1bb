"""The checkpointer that a graph runs with, as seen from inside a node.

LangGraph hands it down in the node's configuration, under keys that it documents nowhere: they are read here only, and
a test fails when they change.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Literal, cast

from anyio import to_thread
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

SAVER = "__pregel_checkpointer"
_DURABILITY = "__pregel_durability"

Saver = BaseCheckpointSaver[Any]


def saver_of(config: RunnableConfig) -> Saver | None:
    """The checkpointer of the running graph; None: it has none."""
    found = config.get("configurable", {}).get(SAVER)
    return cast("Saver", found) if isinstance(found, BaseCheckpointSaver) else None


def durability_of(config: RunnableConfig) -> Literal["sync", "async", "exit"]:
    """When the running graph stores what its tasks gave."""
    return config.get("configurable", {}).get(_DURABILITY, "async")


def graph_config(config: RunnableConfig) -> RunnableConfig:
    """Where the graph whose node has this configuration keeps its checkpoints."""
    given = config.get("configurable", {})
    namespace = str(given.get("checkpoint_ns", "")).rpartition("|")[0]
    return {"configurable": {"thread_id": given.get("thread_id"), "checkpoint_ns": namespace}}


class Threaded(BaseCheckpointSaver[Any]):
    """A checkpointer that only blocks, for a graph that awaits: each call in a worker thread."""

    def __init__(self, saver: Saver) -> None:
        super().__init__(serde=saver.serde)
        self._saver = saver

    @property
    def config_specs(self) -> list[Any]:
        return cast("list[Any]", self._saver.config_specs)

    def get_next_version(self, current: Any, channel: None) -> Any:  # noqa: ANN401
        return self._saver.get_next_version(current, channel)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await to_thread.run_sync(self._saver.get_tuple, config)

    async def alist(self, config: RunnableConfig | None, **given: Any) -> AsyncIterator[CheckpointTuple]:  # noqa: ANN401
        def found() -> Iterator[CheckpointTuple]:
            return iter(list(self._saver.list(config, **given)))

        for one in await to_thread.run_sync(found):
            yield one

    async def aput(self, config: RunnableConfig, checkpoint: Any, metadata: Any, new_versions: Any) -> RunnableConfig:  # noqa: ANN401
        return await to_thread.run_sync(self._saver.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await to_thread.run_sync(self._saver.put_writes, config, writes, task_id, task_path)
