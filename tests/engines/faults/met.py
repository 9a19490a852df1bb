"""What came of a request to a server at fault, and what the server had put on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from apr_agents.engines.base import Chunk, Engine, Finish, Message, Request
from apr_agents.errors import EngineError
from apr_agents.paths import BranchPath
from tests.engines.faults.scenarios import Scenario
from tests.engines.faults.transports import Transport, Way
from tests.support.servers.acts import Act, Answer, Close, Head, Raw, Reset, Send
from tests.support.servers.double import Fault

TEXT = " half a thought, naïve 漢字 🙂 and the rest</Thread>"
"""What the model says where nothing goes wrong."""


@dataclass(slots=True)
class Met:
    """Its mutable state is what has come."""

    text: str = ""
    finish: Finish | None = None
    error: EngineError | None = None
    acts: Sequence[Act] = ()
    """Of the server, at the last request."""
    answer: Answer | None = None

    def plays(self, scenario: Scenario) -> Fault:
        """This scenario, remembered here."""

        def play(answer: Answer) -> Sequence[Act]:
            self.answer, self.acts = answer, scenario.does(answer)
            return self.acts

        return play

    @property
    def sent(self) -> str:
        """The text in the events that were whole on the wire; empty where a client may have lost some of it."""
        return self._said(len(self.answer.payloads)) if self.answer else ""

    @property
    def sent_before_finish(self) -> str:
        """The same without the event of the finish: its text is given to no run before the end of the stream."""
        return self._said(self.answer.finish) if self.answer else ""

    def _said(self, most: int) -> str:
        if self.answer is None or not self.answer.streamed or any(map(self._loses, self.acts)):
            return ""
        body, frames = b"".join(act.data for act in self.acts if isinstance(act, Send)), self.answer.frames
        count = next((n for n, _ in enumerate(frames) if not body.startswith(b"".join(frames[: n + 1]))), len(frames))
        return self.answer.wire.said(self.answer.payloads[: min(count, most)])

    def _loses(self, act: Act) -> bool:
        framed = isinstance(self.acts[0], Head) and self.acts[0].framing == "chunked"
        return isinstance(act, (Reset, Raw)) or (framed and isinstance(act, Close))

    def take(self, chunk: Chunk) -> None:
        self.text += chunk.text
        self.finish = chunk.finish


async def meet(engine: Engine, request: Request, met: Met, seen: anyio.Event | None = None) -> Met:
    """Read as the driver does: to the finish and no further. `seen` is set at the first text."""
    try:
        async with engine.stream(request) as chunks:
            async for chunk in chunks:
                met.take(chunk)
                if seen is not None and met.text:
                    seen.set()
                if chunk.finish is not None:
                    break
    except EngineError as error:
        met.error = error
    return met


def request_of(engine: Engine, transport: Transport, path: BranchPath, seconds: float | None = None) -> Request:
    """A branch's request, with this long to live."""
    prompt = engine.prompt([Message("user", "Numbers: 1 2 3")], {})
    deadline = None if seconds is None else engine.clock.now() + seconds
    stops, most, watched = ("</Thread>",), 0 if transport.plain else 200, transport.watched
    return Request(prompt, most, stops, deadline=deadline, path=path, run_id="r" * 16, watched=watched)


async def freed(way: Way) -> None:
    """Return when the server has seen that nobody listens any more."""
    while way.double.generating:  # noqa: ASYNC110  # a real server could not set an event either
        await anyio.sleep(0.001)
