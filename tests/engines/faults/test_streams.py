"""Each fault on each transport: none is silent, none is a false alarm, and the error says what there is to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import pytest

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Chunk, Engine, Finish, Request
from apr_agents.errors import EngineError, RequestRefused, StreamFault
from apr_agents.paths import BranchPath
from tests.engines.faults.scenarios import (
    HANGS,
    NATIVE_ONLY,
    PLAIN,
    PLAIN_HANGS,
    STREAMED,
    Broken,
    Scenario,
)
from tests.engines.faults.transports import TRANSPORTS, Transport, Way
from tests.support.servers.acts import Act, Answer, Raw, Reset, Send
from tests.support.servers.double import Fault, Generation

pytestmark = pytest.mark.enable_socket

PATH = BranchPath.parse("1.2")
TEXT = " half a thought, naïve 漢字 🙂 and the rest</Thread>"
SECONDS = 1.0
"""For a server that hangs."""


@dataclass(slots=True)
class Met:
    """What came of one request, and what the server had put on the wire."""

    text: str = ""
    finish: Finish | None = None
    error: EngineError | None = None
    acts: Sequence[Act] = ()
    answer: Answer | None = None

    def plays(self, scenario: Scenario) -> Fault:
        def play(answer: Answer) -> Sequence[Act]:
            self.answer, self.acts = answer, scenario.does(answer)
            return self.acts

        return play

    @property
    def sent(self) -> str:
        """The text in the events that were whole on the wire; empty where a client may have lost them."""
        assert self.answer is not None
        if any(isinstance(act, (Reset, Raw)) for act in self.acts) or not self.answer.streamed:
            return ""
        body, frames = b"".join(act.data for act in self.acts if isinstance(act, Send)), self.answer.frames
        count = next((n for n, _ in enumerate(frames) if not body.startswith(b"".join(frames[: n + 1]))), len(frames))
        return self.answer.wire.said(self.answer.payloads[:count])


async def meet(engine: Engine, request: Request, met: Met) -> Met:
    """Read as the driver does: to the finish and no further."""
    try:
        async with engine.stream(request) as chunks:
            async for chunk in chunks:
                _take(met, chunk)
                if chunk.finish is not None:
                    break
    except EngineError as error:
        met.error = error
    return met


def _take(met: Met, chunk: Chunk) -> None:
    met.text += chunk.text
    met.finish = chunk.finish


def request_of(engine: Engine, transport: Transport, path: BranchPath = PATH, seconds: float | None = None) -> Request:
    prompt = Context.of(Segment("Numbers: 1 2 3\n", engine.encode("Numbers: 1 2 3\n", control=False), Origin.client))
    deadline = None if seconds is None else engine.clock.now() + seconds
    return Request(
        prompt, 200, ("</Thread>",), deadline=deadline, path=path, run_id="r" * 16, watched=transport.watched
    )


def check(way: Way, scenario: Scenario, met: Met, path: BranchPath = PATH) -> None:
    out = scenario.out
    if out is None:
        assert met.error is None, met.error
        assert met.text == TEXT
        assert met.finish is not None
        assert (met.finish.reason, met.finish.matched) == ("stop", "</Thread>")
        return
    assert met.finish is None, "a fault passed for an answer"
    assert met.error is not None, "a fault passed in silence"
    check_error(way, out, met.error, path)
    assert TEXT.startswith(met.error.partial)
    assert met.error.partial.startswith(met.text)
    assert met.error.partial.startswith(met.sent)


def check_error(way: Way, out: Broken, error: EngineError, path: BranchPath) -> None:
    words = str(error)
    assert type(error) is out.kind, repr(error)
    if isinstance(error, StreamFault):
        assert error.fault in out.faults, repr(error)
    if isinstance(error, RequestRefused):
        assert error.status == out.status
    assert error.wait == out.wait
    if out.again is not None:
        assert error.again == out.again, repr(error)
    assert out.says in words
    assert "\n" not in words
    assert way.double.url in words
    assert words.endswith(f"(branch {path})")


def table(*, plain: bool, native: bool) -> tuple[Scenario, ...]:
    return PLAIN if plain else (*STREAMED, *(NATIVE_ONLY if native else ()))


CASES = [
    pytest.param(name, scenario, id=f"{name}: {scenario.name}")
    for name, transport in TRANSPORTS.items()
    for scenario in table(plain=transport.plain, native=transport.native)
]


def test_the_table_has_thirty_scenarios_for_streams_and_each_has_its_own_name() -> None:
    for scenarios in ((*STREAMED, *NATIVE_ONLY, *HANGS), (*PLAIN, *PLAIN_HANGS)):
        assert len({scenario.name for scenario in scenarios}) == len(scenarios)
    assert len([scenario for scenario in (*STREAMED, *HANGS) if scenario.out is not None]) >= 30


@pytest.mark.parametrize(("name", "scenario"), CASES)
async def test_a_fault_is_an_error_and_an_answer_is_none(name: str, scenario: Scenario) -> None:
    transport, met = TRANSPORTS[name], Met()
    async with transport.open({"1.2": TEXT}, lambda generation: met.plays(scenario)) as way:
        await meet(way.engine, request_of(way.engine, transport), met)
        check(way, scenario, met)
        assert len(way.double.generations) == 1


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_a_server_that_hangs_is_left_at_the_deadline(name: str) -> None:
    transport = TRANSPORTS[name]
    hangs = PLAIN_HANGS if transport.plain else HANGS
    paths = {str(PATH.child(1, number)): scenario for number, scenario in enumerate(hangs, 1)}
    mets = {path: Met() for path in paths}

    def fault(generation: Generation) -> Fault:
        return mets[generation.branch].plays(paths[generation.branch])

    async with transport.open(dict.fromkeys(paths, TEXT), fault) as way:
        way.double.hang_abort = True
        # The server would hang for ever: that this ends at all is the deadline's doing.
        async with anyio.create_task_group() as group:
            for path, met in mets.items():
                group.start_soon(
                    meet, way.engine, request_of(way.engine, transport, BranchPath.parse(path), SECONDS), met
                )
        for path, met in mets.items():
            met.acts = ()
            check(way, paths[path], met, BranchPath.parse(path))
        assert len(way.double.generations) == len(hangs)
        await freed(way)


async def freed(way: Way) -> None:
    """Wait until the server has seen that nobody listens any more."""
    while way.double.generating:  # noqa: ASYNC110 - the server is a process of its own elsewhere
        await anyio.sleep(0.001)
