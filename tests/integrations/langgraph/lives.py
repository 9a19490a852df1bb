"""Processes that run a graph and are killed: one life is one process, forked from a server that has all imports."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from apr_agents.dialects import load_dialect
from apr_agents.engines.base import Chunk, Request
from apr_agents.engines.llamacpp.engine import EmbeddedEngine
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.integrations.langgraph import reasoning_node
from apr_agents.runner import Settings
from apr_agents.runner.calls import caller
from tests.integrations.langgraph.graphs import ASKED, Graph, answer, around, by_turn, config
from tests.support.scripts import block, closed

NESTED = replace(load_dialect("threadweaver"), nests=True, name="nested")
SCRIPT: dict[str, Any] = {
    "": [block("a", '@note {"word": "x"}', '@double {"word": "y"}', "b"), "in between " + block("c", "d"), "the end"],
    "1.1": closed(" so a"),
    "1.4": [" then " + block("e", '@note {"word": "z"}'), closed(" and b")],
    "1.4/1.1": closed(" so e"),
    "2.1": closed(" so c"),
    "2.2": closed(" so d"),
}
COUNTDOWN = "Numbers: 26 45 27 21 Target: 18"


@dataclass(frozen=True, slots=True)
class Life:
    """What one process does, all of it plain values."""

    database: str
    """A file, or the address of a Postgres server."""
    diary: str
    """The file to which everything that happens is appended, a line each."""
    kill_at: int = 0
    """The number of the line behind which the process kills itself; 0: none."""
    engine: str = "scripted"
    mode: Literal["adaptive", "sequential"] = "adaptive"
    calls: bool = True
    """Whether outlines may call functions."""
    held: str = ""
    """A named pipe from which one function reads before it goes on."""
    thread: str = "1"
    durability: Literal["async", "sync", "exit"] = "async"

    def live(self) -> dict[str, Any] | None:
        """Run the graph, from where it is, in a new process: what it gave, or None when the process was killed."""
        return self.begin().end()

    def begin(self) -> Begun:
        """The same, without waiting for its end."""
        return begin(_run, self)


_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([f"tests.integrations.langgraph.{name}" for name in ("lives", "test_workflow")])


@dataclass(frozen=True, slots=True)
class Begun:
    """A life that goes on."""

    process: Any
    here: Any

    def end(self) -> dict[str, Any] | None:
        """Wait for its end: what the graph gave, or None when the process was killed."""
        try:
            found = self.here.recv()
        except EOFError:
            found = None
        self.process.join()
        self.here.close()
        assert self.process.exitcode == (-signal.SIGKILL if found is None else 0)
        self.process.close()
        return found


T = TypeVar("T")
Work = Callable[[Life], Coroutine[Any, Any, dict[str, Any]]]


def begin(work: Work, life: Life) -> Begun:
    """Begin this life in a new process: `work`, a function of some module, says what the graph gave."""
    here, there = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=_live, args=(work, life, there))
    process.start()
    there.close()
    return Begun(process, here)


def _live(work: Work, life: Life, there: Connection) -> None:
    there.send(asyncio.run(work(life)))
    there.close()


BORN = "born"
"""The first line of each life, which does not count."""


class Diary:
    """What happens in one process; its mutable state is how many lines it has written."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._lines = 0
        self._append(BORN)

    def write(self, line: str) -> None:
        """Append a line; the last one that this process may write kills it."""
        self._append(line)
        self._lines += 1
        if self._lines == self._life.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _append(self, line: str) -> None:
        """In one write, so that lines of tasks and threads do not mix."""
        file = os.open(self._life.diary, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, f"{line}\n".encode())
        os.close(file)


class ToldSaver(BaseCheckpointSaver[str]):
    """One of LangGraph's savers, which tells before and after each write."""

    diary: Diary

    async def aput(self, *given: Any, **named: Any) -> RunnableConfig:
        return await _told(self.diary, "checkpoint", super().aput(*given, **named))

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        await _told(self.diary, _name(writes), super().aput_writes(config, writes, task_id, task_path))


class SqliteDiary(ToldSaver, AsyncSqliteSaver):
    """A file."""


class PostgresDiary(ToldSaver, AsyncPostgresSaver):
    """A server."""


async def _told(diary: Diary, what: str, work: Awaitable[T]) -> T:
    diary.write(f"storing {what}")
    found = await work
    diary.write(f"stored {what}")
    return found


def _name(writes: Sequence[tuple[str, Any]]) -> str:
    named: list[str] = [value["name"] for _, value in writes if isinstance(value, dict) and "name" in value]
    return f"{named[0]}" if named else "writes"


@asynccontextmanager
async def saved(database: str, diary: Diary) -> AsyncGenerator[ToldSaver]:
    """The saver of this database."""
    kind = PostgresDiary if database.startswith("postgresql:") else SqliteDiary
    async with kind.from_conn_string(database) as opened:
        saver = cast("ToldSaver", opened)
        saver.diary = diary
        await opened.setup()
        yield saver


async def _run(life: Life) -> dict[str, Any]:
    diary = Diary(life)
    async with saved(life.database, diary) as saver:
        graph = around(_node(life, diary), saver)
        where = config(life.thread)
        found = await graph.aget_state(where)
        asked = {"messages": [("user", COUNTDOWN)]} if life.engine == "embedded" else ASKED
        try:
            if not found.next and _answered(found.values):  # killed behind its end: to ask again would be another run
                state = found.values
            else:
                state = await graph.ainvoke(None if found.next else asked, where, durability=life.durability)
        except Exception as error:  # told to the test as text
            return {"raised": type(error).__name__, "why": str(error)}
        report = answer(state).response_metadata["report"]
        return {
            "text": answer(state).text,
            "messages": len(state["messages"]),
            "ended": answer(state).response_metadata["ended"],
            "generated": report["tokens"]["generated"],
            "critical": report["tokens"]["critical"],
            "prompt": report["tokens"]["prompt"],
        }


def _answered(state: dict[str, Any]) -> bool:
    return bool(state) and isinstance(state["messages"][-1], AIMessage)


def _node(life: Life, diary: Diary) -> Graph:
    if life.engine == "embedded":
        return reasoning_node(lambda: ToldEngine(diary), Settings(load_dialect("threadweaver")))

    def note(word: str) -> str:
        _tell(diary)
        return word + (Path(life.held).read_text() if life.held else "")

    async def double(word: str) -> str:
        _tell(diary)
        return word * 2

    said = cast("Callable[[Request], str | Reply]", by_turn(SCRIPT))

    def script(request: Request) -> str | Reply:
        diary.write(f"asked {request.path}:{request.sampling.seed}")
        return said(request)

    settings = Settings(NESTED, mode=life.mode)
    return reasoning_node(
        lambda: ScriptedEngine(script, NESTED),
        settings,
        [note, double] if life.calls else [],
        allow_exit=life.durability == "exit",
    )


def _tell(diary: Diary) -> None:
    found = caller()
    assert found is not None
    diary.write(f"called {found.path}")
    diary.write(f"key {found.key}")


class ToldEngine(EmbeddedEngine):
    """The embedded engine, which tells of each request, and of every tenth chunk."""

    def __init__(self, diary: Diary) -> None:
        super().__init__()
        self._diary = diary

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[AsyncIterator[Chunk]]:
        self._diary.write(f"asked {request.path}:{request.sampling.seed}")
        async with super().stream(request) as chunks:
            yield self._counted(chunks)

    async def _counted(self, chunks: AsyncIterator[Chunk]) -> AsyncGenerator[Chunk]:
        count = 0
        async for chunk in chunks:
            count += 1
            if count % 10 == 0:
                self._diary.write("chunk")
            yield chunk
