"""Where a chat model's engine lives: on one event loop, whatever thread or loop its callers are on."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar, cast

import anyio

from apr_agents.engines.base import Engine
from apr_agents.engines.opening import open_engine
from apr_agents.errors import UsageError

T = TypeVar("T")

_CLOSING_SECONDS = 10.0
"""How long closing waits for an engine that does not end."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open engine and the loop that it lives on."""

    engine: Engine
    loop: asyncio.AbstractEventLoop
    runs: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])
    """What was started here and goes on."""

    @property
    def is_here(self) -> bool:
        """Whether this code runs on that loop."""
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False

    def forbid_blocking(self) -> None:
        """Raises UsageError on that loop: who waits there for what it does waits for ever."""
        if self.is_here:
            raise UsageError("this would block the event loop that the engine lives on; use ainvoke or astream there")

    def start(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> Future[T]:
        """Start this work on the engine's loop, from any thread, in the caller's context.

        It is a task of its own, whoever asks: a stream may be left in another task than it was begun in, or from
        another thread, which a task group open in the caller's own task would not survive.
        """
        if self.loop.is_closed():
            raise UsageError(
                "the event loop that the engine lives on has ended; open the engine and make another model"
            )
        return asyncio.run_coroutine_threadsafe(self._run(work), self.loop)

    async def _run(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self.runs.add(task)
        try:
            return await work(self.engine)
        finally:
            self.runs.discard(task)


class EngineHome:
    """An engine and its event loop, open from its first use until `close()`.

    An engine given by a spec, or by a function that makes it, is opened in a thread of its own, and so serves `invoke`
    and `ainvoke` from any thread and any event loop. An engine that is open already stays with the loop that opened it:
    the home is made there, and only code on that loop and code in other threads can use it. Its owner closes it.

    Its mutable state is that thread, and whether it was closed.
    """

    def __init__(self, engine: str | Engine | Callable[[], Engine], options: Mapping[str, str] | None = None) -> None:
        """Opens nothing yet. Raises UsageError for a spec or an option that there is not, and for an open engine
        outside of its event loop."""
        self._lock = threading.Lock()
        self._thread: EngineThread | None = None
        self._closed = False
        self._guest: Opened | None = None
        if isinstance(engine, str):
            named = open_engine(engine, options)
            self._make: Callable[[], Engine] = lambda: named
            self.name = engine
        elif callable(engine):
            self._make = engine
            self.name = getattr(engine, "__name__", "engine")
        else:
            self._guest = Opened(engine, _running_loop())
            self.name = engine.info.name

    def __repr__(self) -> str:
        return f"EngineHome({self.name})"

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """A copy of what uses an engine uses the same engine."""
        return self

    def open(self) -> Opened:
        """The engine, opened if need be; blocks until it is. Raises EngineError when it cannot be opened, UsageError
        when it was closed."""
        found = self._find()
        return found.result() if isinstance(found, Future) else found

    async def aopen(self) -> Opened:
        """The same for coroutines: it blocks no event loop."""
        found = self._find()
        return await asyncio.wrap_future(found) if isinstance(found, Future) else found

    def ask(self, question: Callable[[Engine], T]) -> T:
        """What the open engine answers to a short question, one that awaits nothing; blocks until it does."""
        opened = self.open()

        async def answer(engine: Engine) -> T:
            return question(engine)

        return question(opened.engine) if opened.is_here else opened.start(answer).result()

    def close(self) -> None:
        """Cancel what runs and close the engine, unless it was open already when it came; blocks until that is done.

        Further calls do nothing; further use raises UsageError.
        """
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.leave()

    def _find(self) -> Opened | Future[Opened]:
        with self._lock:
            if self._closed:
                raise UsageError(f"the engine {self.name} was closed; make another model")
            if self._guest is not None:
                return self._guest
            if self._thread is None or self._thread.failed:
                self._thread = EngineThread(self._make)
                weakref.finalize(self, self._thread.leave)
            return self._thread.opened


class EngineThread:
    """A thread with an event loop on which one engine is open, until `leave()`."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self.opened: Future[Opened] = Future()
        # Running from the start: nobody who waits for it can cancel it for the others.
        self.opened.set_running_or_notify_cancel()
        self._leaving: Future[None] = Future()
        self._thread = threading.Thread(target=anyio.run, args=(self._live, make), name="apr engine", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> bool:
        return self.opened.done() and self.opened.exception() is not None

    def leave(self) -> None:
        """Cancel what runs, close the engine and end the thread; waits for that, except in this thread itself."""
        with suppress(InvalidStateError):
            self._leaving.set_result(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(_CLOSING_SECONDS)

    async def _live(self, make: Callable[[], Engine]) -> None:
        try:
            async with make() as engine:
                opened = Opened(engine, asyncio.get_running_loop())
                self.opened.set_result(opened)
                await asyncio.wrap_future(self._leaving)
                for run in opened.runs:
                    run.cancel()
                if opened.runs:
                    await asyncio.wait(set(opened.runs))
        except BaseException as error:  # whatever keeps it from opening, whoever waits for it must hear of it
            if self.opened.done():
                raise
            self.opened.set_exception(error)


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            "an open engine lives on the event loop that opened it: make the model there, or give a spec such as "
            "'embedded', or a function that makes the engine, and the model opens it itself"
        ) from None
