"""The embedded engine: a GGUF model in this process, served by one thread, seen as an Engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Self

from apr_agents import models
from apr_agents.clock import Clock, MonotonicClock
from apr_agents.context import Context, Origin, Segment
from apr_agents.engines import chat_template
from apr_agents.engines.base import Chunk, EngineInfo, Message, Request
from apr_agents.engines.llamacpp import bindings
from apr_agents.engines.llamacpp.encoding import encode
from apr_agents.engines.llamacpp.handover import Mailbox
from apr_agents.engines.llamacpp.model import Model
from apr_agents.engines.llamacpp.scheduler import Counters
from apr_agents.engines.llamacpp.server import Loaded, Server, Settings
from apr_agents.errors import EngineError, UsageError


class EmbeddedEngine:
    """llama.cpp in the process. Open it with `async with`, on asyncio.

    A token that ends generation by itself (end of text, end of turn) is in the last chunk's ids, and its text is empty:
    ids are exact, text is what a reader sees. A token sampled last is not evaluated before a later request needs it.
    """

    def __init__(
        self,
        model: Path | None = None,
        *,
        context_tokens: int | None = None,
        sequences: int = 64,
        threads: int | None = None,
        batch: int = 512,
        exact: bool | int = False,
    ) -> None:
        """Nothing is loaded before the engine is opened.

        `model`: a GGUF file; None: the shipped model. `context_tokens`: cells of cache that all sequences share; None:
        what the model was trained on, at most 32,768. `sequences`: requests served at once and prefixes kept, at most
        256. `threads`: None: what the model's size is worth, at most one per core. `batch`: most tokens evaluated in
        one step. `exact`: what else is cached changes logits by 1e-6 in place of up to 0.1, so that a seed repeats a
        run; up to three times slower.
        Raises UsageError for numbers that cannot be meant.
        """
        check_settings(context_tokens, sequences, threads, batch)
        self._path = model
        self._cells, self._sequences = context_tokens, sequences
        self._threads, self._batch = threads, max(batch, sequences)
        self._exact = bool(exact)
        self._clock = MonotonicClock()
        self._server: Server | None = None
        self._loaded: Loaded | None = None

    @property
    def info(self) -> EngineInfo:
        """The name is that of the file's metadata once the engine is open."""
        if self._loaded is None:
            return EngineInfo(f"embedded:{self._path.stem if self._path else 'shipped'}", None)
        model = self._loaded.model
        dialects = (model.meta("apr.dialect") or "").replace(",", " ").split()
        window = self._loaded.scheduler.window
        return EngineInfo(f"embedded:{model.name}", window, tuple(dialects), warms=True)

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def settings(self) -> Settings:
        """How the model is served."""
        return Settings(
            path=self._path or models.path(),
            cells=self._cells,
            sequences=self._sequences,
            threads=self._threads,
            batch=self._batch,
            exact=self._exact,
            clock=self._clock,
        )

    @property
    def counters(self) -> Counters:
        """What the engine did and holds; a snapshot."""
        return self._opened.scheduler.counters

    def encode(self, text: str, *, control: bool) -> tuple[int, ...]:
        """The ids of this text. Without `control` none of them is a special token or a tag.

        Raises EngineError when the model's vocabulary lacks a character of it.
        """
        return tuple(encode(self._opened.model, text, control=control))

    def prompt(self, messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
        """The messages in the file's own chat template. Raises EngineError when it has none, or cannot be rendered."""
        model = self._opened.model
        template = model.meta("tokenizer.chat_template")
        if template is None:
            raise EngineError(
                f"{model.path.name} has no chat template; use a GGUF of a chat model, or add one to the file with "
                "gguf-new-metadata --chat-template"
            )
        special = {"bos_token": model.text(model.bos), "eos_token": model.text(model.eos)}
        parts = chat_template.render(template, messages, {**special, **variables}, today=date.today())
        segments = [
            Segment(part.text, self.encode(part.text, control=part.control), Origin.client)
            for part in parts
            if part.text
        ]
        return Context.of(*with_bos(model, segments))

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: Request) -> AsyncGenerator[AsyncIterator[Chunk]]:
        scheduler, mailbox = self._opened.scheduler, Mailbox()
        job = scheduler.submit(request, mailbox)
        try:
            yield mailbox
        finally:
            scheduler.cancel(job)
            mailbox.put(EngineError("the stream was left", job.text))

    @property
    def _opened(self) -> Loaded:
        if self._loaded is None:
            raise EngineError("the embedded engine is not open; use it inside `async with`")
        return self._loaded

    async def __aenter__(self) -> Self:
        if self._server is not None:
            raise UsageError("the embedded engine is open already; make one for each `async with`")
        server = Server(self.settings)
        self._loaded = await server.start()
        self._server = server
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        server, self._server, self._loaded = self._server, None, None
        if server is not None:
            await server.stop()


def with_bos(model: Model, segments: Sequence[Segment]) -> list[Segment]:
    """A prompt's segments, begun as the model wants it: once, whether or not the template wrote it."""
    begun = any(segment.ids and segment.ids[0] == model.bos for segment in segments[:1])
    if model.bos is None or not model.adds_bos or begun:
        return list(segments)
    return [Segment(model.text(model.bos), (model.bos,), Origin.client), *segments]


def check_settings(context_tokens: int | None, sequences: int, threads: int | None, batch: int) -> None:
    """Raises UsageError for the first of these that cannot be meant."""
    limits = {
        "context_tokens": (context_tokens, 2**22),
        "sequences": (sequences, bindings.MAX_SEQUENCES),
        "threads": (threads, 512),
        "batch": (batch, 65_536),
    }
    for name, (value, limit) in limits.items():
        if value is not None and not 1 <= value <= limit:
            raise UsageError(f"{name} is {value}; the embedded engine takes 1 to {limit}")
