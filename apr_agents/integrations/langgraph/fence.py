"""One process at a time runs a run: a lock that the system frees when its holder dies, however it dies.

With SQLite it is a lock on a file beside the database, with Postgres an advisory lock of a connection of its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from anyio import to_thread
from langgraph.checkpoint.base import BaseCheckpointSaver

from apr_agents.errors import AlreadyRunning

if TYPE_CHECKING:
    import psycopg

try:
    import fcntl
except ImportError:  # on Windows, which has no locks of this kind
    fcntl = None

Check = Callable[[], Awaitable[None]]
"""Raises AlreadyRunning when the fence is lost."""

_T = TypeVar("_T")


class _Connected(Protocol):
    """What LangGraph's savers of SQLite and Postgres have; neither need be installed."""

    conn: Any
    """A connection, or a pool of them, that waits or blocks as the saver does."""
    lock: Any


@asynccontextmanager
async def fenced(saver: BaseCheckpointSaver[Any] | None, run_id: str) -> AsyncGenerator[Check]:
    """Be the only one that runs this run, as far as LangGraph's SQLite and Postgres savers go; others have no fence.

    Raises AlreadyRunning when the run goes on in another process, or elsewhere in this one.
    """
    kind = _kind(saver)
    if kind == "sqlite" and fcntl is not None:
        async with _file_locked(await _database(cast("_Connected", saver)), run_id) as check:
            yield check
    elif kind == "postgres":
        async with _advisory_locked(await _address(cast("_Connected", saver)), run_id) as check:
            yield check
    else:
        yield _unfenced


async def _unfenced() -> None:
    pass


def _kind(saver: BaseCheckpointSaver[Any] | None) -> str:
    modules = [base.__module__ for base in type(saver).__mro__]
    prefix = "langgraph.checkpoint."
    return next((module[len(prefix) :].split(".")[0] for module in modules if module.startswith(prefix)), "")


@asynccontextmanager
async def _file_locked(database: str, run_id: str) -> AsyncGenerator[Check]:
    """A lock on a file of this run; none for a database in memory, which no other process sees."""
    if not database:
        yield _unfenced
        return
    path = Path(f"{database}.{run_id}.lock")
    file = _lock(path)
    if file is None:
        raise AlreadyRunning(f"run {run_id} goes on elsewhere: {path} is locked; wait for its end")
    try:
        yield _unfenced
    finally:
        # While the lock is held: whoever has opened this file meanwhile sees that it is gone.
        path.unlink(missing_ok=True)  # noqa: ASYNC240  # as quick as a write to memory
        os.close(file)


def _lock(path: Path) -> int | None:
    """The descriptor of this file, locked; None when another one holds it."""
    assert fcntl is not None  # noqa: S101  # asked by `fenced`
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_nlink:
                return file
        except BlockingIOError:
            os.close(file)
            return None
        os.close(file)  # its last holder took it away between the two calls


@asynccontextmanager
async def _advisory_locked(address: dict[str, Any], run_id: str) -> AsyncGenerator[Check]:
    """An advisory lock of a session of its own; its key is the run's id, which has as many bits."""
    import psycopg

    key = int.from_bytes(bytes.fromhex(run_id), signed=True)

    def begin() -> psycopg.Connection[Any]:
        session = psycopg.connect(**address, autocommit=True)
        row = session.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone()
        if row is None or not row[0]:
            session.close()
            raise AlreadyRunning(f"run {run_id} goes on elsewhere: it holds the advisory lock {key}; wait for its end")
        return session

    def look(session: psycopg.Connection[Any]) -> None:
        try:
            session.execute("SELECT 1")
        except psycopg.Error as error:
            raise AlreadyRunning(f"run {run_id} lost its advisory lock {key}: {error}; resume it") from error

    with closing(await to_thread.run_sync(begin)) as session:

        async def check() -> None:
            await to_thread.run_sync(look, session)

        yield check


async def _database(saver: _Connected) -> str:
    """The file of a SQLite saver's database; empty for one in memory."""
    question = "PRAGMA database_list"

    async def ask() -> str:
        async with saver.conn.execute(question) as cursor:
            return str((await cursor.fetchone())[2] or "")

    def block() -> str:
        with saver.lock:
            return str(saver.conn.execute(question).fetchone()[2] or "")

    return await _ask(saver, ask, block)


async def _address(saver: _Connected) -> dict[str, Any]:
    """How a Postgres saver's database is reached."""

    async def ask() -> dict[str, Any]:
        if hasattr(saver.conn, "info"):
            return _parameters(saver.conn.info)
        async with saver.conn.connection() as session:
            return _parameters(session.info)

    def block() -> dict[str, Any]:
        if hasattr(saver.conn, "info"):
            return _parameters(saver.conn.info)
        with saver.conn.connection() as session:
            return _parameters(session.info)

    return await _ask(saver, ask, block)


def _parameters(info: psycopg.ConnectionInfo) -> dict[str, Any]:
    secret = {"password": info.password} if info.password else {}
    return {**info.get_parameters(), **secret}


async def _ask(saver: _Connected, ask: Callable[[], Coroutine[Any, Any, _T]], block: Callable[[], _T]) -> _T:
    """Ask an async saver on its own event loop, a blocking one in a worker thread."""
    home: asyncio.AbstractEventLoop | None = getattr(saver, "loop", None)
    if home is None:
        return await to_thread.run_sync(block)
    if home is asyncio.get_running_loop():
        return await ask()
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(ask(), home))
