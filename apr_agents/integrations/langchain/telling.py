"""One run for a chat model: told piece by piece to whoever asked, on whatever thread or event loop they wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Literal

import anyio

from apr_agents.engines.base import Engine, Message
from apr_agents.errors import EngineError
from apr_agents.integrations.langchain.answering import Piece, Whole, check, stopped
from apr_agents.integrations.langchain.home import EngineHome
from apr_agents.integrations.langchain.reading import Reading, in_order
from apr_agents.runner import RunResult, Settings, stream
from apr_agents.runner.answer import answer_of
from apr_agents.runner.progress import Generated, Progress, Synthesis
from apr_agents.runner.run import LiveRun
from apr_agents.trace import Trace

Content = Literal["answer", "text"]
"""What of a run's text is its message's content: the answer alone, or everything behind the prompt, as joined."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is asked."""

    messages: tuple[Message, ...]
    settings: Callable[[Engine], Settings]
    """Made on the open engine: the dialect may be its own."""
    stops: Sequence[str]
    content: Content
    hear: Callable[[Trace], None]
    """Told the trace of the run at its end, however it ended."""


class Way:
    """The way out of a run, for who is elsewhere. Its mutable state is whether it was taken; it lives on the loop."""

    def __init__(self) -> None:
        self.scope: anyio.CancelScope | None = None
        self._taken = False

    def enter(self) -> anyio.CancelScope:
        """The scope that the run goes on in."""
        self.scope = anyio.CancelScope()
        if self._taken:
            self.scope.cancel()
        return self.scope

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave the run, from any thread."""
        with suppress(RuntimeError):  # the engine's loop has ended, and the run with it
            loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        self._taken = True
        if self.scope is not None:
            self.scope.cancel()


_Put = Callable[[Piece | Whole | None], None]


def told(home: EngineHome, asked: Asked) -> Generator[Piece | Whole]:
    """The run, for threads. Leaving early cancels every branch, and waits until that is done."""
    opened = home.open()
    opened.forbid_blocking()
    items: SimpleQueue[Piece | Whole | None] = SimpleQueue()
    way = Way()
    run = opened.start(lambda engine: _tell(engine, asked, way, items.put))
    ended = False
    try:
        while (item := items.get()) is not None:
            yield item
        ended = True
    finally:
        if not ended:
            way.leave(opened.loop)
            while items.get() is not None:
                pass
    _raise(run)


async def atold(home: EngineHome, asked: Asked) -> AsyncGenerator[Piece | Whole]:
    """The run, for coroutines. Leaving early cancels every branch, and waits until that is done."""
    opened = await home.aopen()
    items: asyncio.Queue[Piece | Whole | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def put(item: Piece | Whole | None) -> None:
        if opened.loop is loop:
            items.put_nowait(item)
        else:
            with suppress(RuntimeError):  # the loop of who asked has ended: nobody waits any more
                loop.call_soon_threadsafe(items.put_nowait, item)

    way = Way()
    run = opened.start(lambda engine: _tell(engine, asked, way, put))
    ended = False
    try:
        while (item := await items.get()) is not None:
            yield item
        ended = True
    finally:
        if not ended:
            way.leave(opened.loop)
            with anyio.CancelScope(shield=True):
                while await items.get() is not None:
                    pass
    await asyncio.wait([asyncio.wrap_future(run)])
    _raise(run)


async def _tell(engine: Engine, asked: Asked, way: Way, put: _Put) -> None:
    """Run to the end, the stop or the cancellation; None is put last, whatever happens."""
    try:
        with way.enter():
            await _run(engine, asked, put)
    finally:
        put(None)


async def _run(engine: Engine, asked: Asked, put: _Put) -> None:
    settings = asked.settings(engine)
    reading = Reading(settings.dialect, asked.stops, forks=settings.mode == "adaptive")
    sent = 0
    live: LiveRun | None = None
    try:
        async with stream(engine, asked.messages, settings) as live:
            async for progress in live:
                _read(reading, progress, live)
                if isinstance(progress, Generated):
                    content = reading.take() if asked.content == "text" else ""
                    sent += len(content)
                    put(Piece(progress.path, progress.text, content))
                if reading.stop is not None:
                    break
        result = _result(live, reading, settings)
    finally:
        if live is not None:
            asked.hear(_result(live, reading, settings).trace)
    check(result)
    put(Whole(result.text[sent:] if asked.content == "text" else result.answer, result))


def _result(live: LiveRun, reading: Reading, settings: Settings) -> RunResult:
    if reading.stop is None:
        return live.result()
    return stopped(live.result(), reading.text, answer_of(reading.text, settings.dialect))


def _read(reading: Reading, progress: Progress, live: LiveRun) -> None:
    """Take from the progress what concerns the run's own text."""
    if isinstance(progress, Generated) and not progress.path:
        reading.generated(progress.text)
    elif isinstance(progress, Synthesis) and not progress.path:
        reading.joined(in_order(progress.joined, live.result().outcomes))


def _raise(run: Future[None]) -> None:
    """What the run raised, if anything."""
    try:
        run.result()
    except CancelledError:
        raise EngineError("the run was cancelled: its engine was closed") from None
