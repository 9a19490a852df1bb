"""The graph's checkpointer as one run sees it: it tells when something is durable, and keeps to the run's fence."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal, cast

import anyio
from anyio import to_thread
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from apr_agents.errors import AprError

Saver = BaseCheckpointSaver[Any]

_PATIENCE = 30.0
"""Seconds in which a checkpointer has stored what it was given."""
_POLL = 0.002
"""Seconds between two looks for a checkpoint that another graph stores."""


class Watched(BaseCheckpointSaver[Any]):
    """A checkpointer that says what it has stored, for one run.

    Its mutable state is the names of the tasks whose results are stored, by namespace, the checkpoints known to be
    stored, and why storing failed.
    """

    def __init__(
        self,
        saver: Saver,
        *,
        check: Callable[[], Awaitable[None]],
        blocks: bool = False,
        durability: Literal["sync", "async", "exit"] = "async",
    ) -> None:
        """`check` raises when this run may store no more. `blocks`: the saver has no coroutines to call here, so that
        each call goes to a worker thread."""
        super().__init__(serde=saver.serde)
        self.saver = saver
        self.durability = durability
        self._check = check
        self._blocks = blocks
        self._names: dict[str, set[str]] = {}
        self._checkpoints: set[tuple[str, str]] = set()
        self._failed: list[Exception] = []
        self._stored = [anyio.Event()]

    @property
    def config_specs(self) -> list[Any]:
        return cast("list[Any]", self.saver.config_specs)

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> Saver:
        """See LangGraph: the same with more types that may be read."""
        clone = copy.copy(self)
        clone.saver = self.saver.with_allowlist(extra_allowlist)
        clone.serde = clone.saver.serde
        return clone

    def get_next_version(self, current: object, channel: None) -> int | float | str:
        return self.saver.get_next_version(current, channel)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        if self._blocks:
            return await to_thread.run_sync(self.saver.get_tuple, config)
        async with _clock_stopped():
            return await self.saver.aget_tuple(config)

    async def alist(self, config: RunnableConfig | None, **given: Any) -> AsyncIterator[CheckpointTuple]:
        def found() -> Iterator[CheckpointTuple]:
            return iter(list(self.saver.list(config, **given)))

        if self._blocks:
            for one in await to_thread.run_sync(found):
                yield one
        else:
            async with _clock_stopped():
                all_found = [one async for one in self.saver.alist(config, **given)]
            for one in all_found:
                yield one

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """See LangGraph: what was written to these channels, by the checkpointer's own way to find it."""
        if self._blocks:
            find = partial(self.saver.get_delta_channel_history, config=config, channels=channels)
            return await to_thread.run_sync(find)
        async with _clock_stopped():
            return await self.saver.aget_delta_channel_history(config=config, channels=channels)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        await self._check()
        if self._blocks:
            return await to_thread.run_sync(self.saver.put, config, checkpoint, metadata, new_versions)
        async with _clock_stopped():
            return await self.saver.aput(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        try:
            await self._check()
            if self._blocks:
                await to_thread.run_sync(self.saver.put_writes, config, writes, task_id, task_path)
            else:
                async with _clock_stopped():
                    await self.saver.aput_writes(config, writes, task_id, task_path)
        except Exception as error:  # told to whoever waits in `stored`, too
            self._failed.append(error)
            raise
        finally:
            space = str(config.get("configurable", {}).get("checkpoint_ns", ""))
            self._names.setdefault(space, set()).update(_names(writes))
            self._stored[0].set()
            self._stored[0] = anyio.Event()

    async def stored(self, config: RunnableConfig, names: Collection[str]) -> None:
        """Return when these tasks' results are durable in the graph of this configuration, and the checkpoints that
        they hang on, its own and those of the graphs around it. Raises AprError when storing fails or takes too long.
        """
        if self.durability == "exit":
            return
        given = config.get("configurable", {})
        space = str(given.get("checkpoint_ns", ""))
        async with _clock_stopped():
            with anyio.move_on_after(_PATIENCE):
                while not self._failed and not set(names) <= self._names.get(space, set()):
                    await self._stored[0].wait()
                if self._failed:
                    raise self._failed[0]
                for where, checkpoint in (*dict(given.get("checkpoint_map") or {}).items(), (space, None)):
                    await self._found(str(given.get("thread_id", "")), where, checkpoint)
                return
        raise AprError(f"the checkpointer has not stored the plan within {_PATIENCE:g} s; nothing was forked")

    async def _found(self, thread: str, space: str, checkpoint: str | None) -> None:
        known = (space, checkpoint or "")
        where = {"thread_id": thread, "checkpoint_ns": space, **({"checkpoint_id": checkpoint} if checkpoint else {})}
        while known not in self._checkpoints:
            if await self.aget_tuple({"configurable": where}) is not None:
                self._checkpoints.add(known)
            else:
                await anyio.sleep(_POLL)


@asynccontextmanager
async def _clock_stopped() -> AsyncGenerator[None]:
    """Take a worker thread's place, so that a virtual clock stands still, as it does for threads."""
    places, borrower = to_thread.current_default_thread_limiter(), anyio.Event()
    await places.acquire_on_behalf_of(borrower)
    try:
        yield
    finally:
        places.release_on_behalf_of(borrower)


def unwatched(saver: Saver) -> Saver:
    """The checkpointer of the user's, also of a run inside another one."""
    while isinstance(saver, Watched):
        saver = saver.saver
    return saver


def _names(writes: Sequence[tuple[str, Any]]) -> set[str]:
    """The names of the tasks whose results these writes are."""
    found = [cast("dict[str, Any]", value).get("name") for _, value in writes if isinstance(value, dict)]
    return {name for name in found if isinstance(name, str)}
