"""What a run tells while it goes on, as LangGraph streams it: each token tagged with the path of its branch."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_async_callback_manager_for_config
from langgraph.types import StreamWriter

from apr_agents.integrations.langgraph.messages import message_id
from apr_agents.runner.progress import Ended, Generated, Progress


class Teller:
    """Tells a run's progress: as plain values in stream mode `custom`, as message chunks in stream mode `messages`.

    Its mutable state is the callback runs of the paths that are being written.
    """

    def __init__(self, config: RunnableConfig, writer: StreamWriter, run_id: str, name: str) -> None:
        self._config = config
        self._write = writer
        self._run_id = run_id
        self._name = name
        self._open: dict[str, AsyncCallbackManagerForLLMRun] = {}
        self._hears = bool(get_async_callback_manager_for_config(config).handlers)
        self.heard = self._hears or _writes(writer)
        """Whether anyone reads any of it."""

    async def tell(self, progress: Progress) -> None:
        """One thing that happened."""
        path = progress.branch.path if isinstance(progress, Ended) else progress.path
        kind = type(progress).__name__.lower()
        self._write({"type": kind, "run_id": self._run_id, "path": path, **asdict(progress)})
        if not self._hears:
            return
        if isinstance(progress, Generated):
            await self._token(progress)
        elif isinstance(progress, Ended):
            await self._end(progress.branch.path, AIMessage("", id=self._id(progress.branch.path)))

    async def finish(self, message: AIMessage) -> None:
        """The run is over, and this is its message."""
        for path in [path for path in self._open if path]:
            await self._end(path, AIMessage("", id=self._id(path)))
        await self._end("", message)

    async def fail(self, error: BaseException) -> None:
        """The run is over, and has no message."""
        for run in self._open.values():
            await run.on_llm_error(error, response=LLMResult(generations=[]))
        self._open.clear()

    async def _token(self, progress: Generated) -> None:
        run = self._open.get(progress.path) or await self._start(progress.path)
        message = AIMessageChunk(content=progress.text, id=self._id(progress.path))
        await run.on_llm_new_token(progress.text, chunk=ChatGenerationChunk(message=message))

    async def _start(self, path: str) -> AsyncCallbackManagerForLLMRun:
        manager = get_async_callback_manager_for_config(self._config)
        manager.add_tags([f"apr:{path}"], inherit=False)
        manager.add_metadata({"apr_path": path, "apr_run": self._run_id}, inherit=False)
        serialized: dict[str, Any] = {"name": self._name}
        (run,) = await manager.on_chat_model_start(serialized, [[]], name=self._name)
        self._open[path] = run
        return run

    async def _end(self, path: str, message: AIMessage) -> None:
        run = self._open.pop(path, None)
        if run is not None:
            await run.on_llm_end(LLMResult(generations=[[ChatGeneration(message=message)]]))

    def _id(self, path: str) -> str:
        return f"{message_id(self._run_id)}-{path}" if path else message_id(self._run_id)


def _writes(writer: StreamWriter) -> bool:
    """Whether this writer does anything. Without stream mode `custom` it is an empty function, which has no closure; a
    test fails when that changes."""
    return getattr(writer, "__closure__", True) is not None
