"""Each fault on each transport: none is silent, none is a false alarm, and the error says what there is to say."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import anyio
import pytest

from apr_agents.errors import EngineError, EngineUnavailable, RequestRefused, StreamFault
from apr_agents.paths import BranchPath
from tests.engines.faults.met import TEXT, Met, freed, meet, request_of
from tests.engines.faults.scenarios import HANGS, NATIVE_ONLY, PLAIN, PLAIN_HANGS, STREAMED, Broken, Scenario, streamed
from tests.engines.faults.transports import LITELLM, PLAIN_TRANSPORTS, TRANSPORTS, Way
from tests.support.servers.acts import Act, Answer, Close, Head, Raw, Reset, Send, Until
from tests.support.servers.double import Fault, Generation

pytestmark = [pytest.mark.enable_socket, pytest.mark.filterwarnings(LITELLM)]

PATH = BranchPath.parse("1.2")
SECONDS = 1.0
"""For a server that hangs."""

ALL = {**TRANSPORTS, **PLAIN_TRANSPORTS}

CASES = [
    pytest.param(name, scenario, id=f"{name}: {scenario.name}")
    for name, transport in ALL.items()
    for scenario in (PLAIN if transport.plain else (*STREAMED, *(NATIVE_ONLY if transport.native else ())))
]


def check(way: Way, scenario: Scenario, met: Met, path: BranchPath = PATH, *, plain: bool = False) -> None:
    if scenario.out is None:
        assert met.error is None, met.error
        assert met.finish is not None
        ended = (met.text, met.finish.reason, met.finish.matched)
        assert ended == (("", "length", None) if plain else (TEXT, "stop", "</Thread>"))
        return
    assert met.finish is None, "a fault passed for an answer"
    assert met.error is not None, "a fault passed in silence"
    check_error(way, scenario.out, met.error, path)
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


def test_the_table_has_thirty_faults_of_streams_and_each_has_a_name_of_its_own() -> None:
    for scenarios in ((*STREAMED, *NATIVE_ONLY, *HANGS), (*PLAIN, *PLAIN_HANGS)):
        assert len({scenario.name for scenario in scenarios}) == len(scenarios)
    assert len([scenario for scenario in (*STREAMED, *HANGS) if scenario.out is not None]) >= 30


@pytest.mark.parametrize(("name", "scenario"), CASES)
async def test_a_fault_is_an_error_and_an_answer_is_none(name: str, scenario: Scenario) -> None:
    transport, met = ALL[name], Met()
    async with transport.open({"1.2": TEXT}, lambda generation: met.plays(scenario)) as way:
        await meet(way.engine, request_of(way.engine, transport, PATH), met)
        check(way, scenario, met, plain=transport.plain)
        assert len(way.double.generations) == 1


@pytest.mark.parametrize("name", ALL)
async def test_a_server_that_hangs_is_left_at_the_deadline(name: str) -> None:
    transport = ALL[name]
    hangs = PLAIN_HANGS if transport.plain else HANGS
    paths = {str(PATH.child(1, number)): scenario for number, scenario in enumerate(hangs, 1)}
    mets = {path: Met() for path in paths}

    def fault(generation: Generation) -> Fault:
        return mets[generation.branch].plays(paths[generation.branch])

    async with transport.open(dict.fromkeys(paths, TEXT), fault) as way:
        way.double.hang_abort = True
        seconds = SECONDS
        while len(way.double.generations) < len(hangs):  # a slow machine needs longer to send them all
            way.double.generations.clear()
            mets.update({path: Met() for path in paths})
            # The server hangs for ever: that this ends at all is the deadline's doing.
            async with anyio.create_task_group() as group:
                for path, met in mets.items():
                    request = request_of(way.engine, transport, BranchPath.parse(path), seconds)
                    group.start_soon(meet, way.engine, request, met)
            seconds *= 2
        for path, met in mets.items():
            met.answer = None  # how far it came by the deadline is the machine's to say
            check(way, paths[path], met, BranchPath.parse(path))
        assert len(way.double.generations) == len(hangs)
        await freed(way)


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["FIN", "RST"])
@pytest.mark.parametrize("name", TRANSPORTS)
async def test_what_was_read_before_a_connection_broke_is_kept(name: str, end: Act) -> None:
    transport, met, seen = TRANSPORTS[name], Met(), anyio.Event()

    def fault(answer: Answer) -> Sequence[Act]:
        return [Head(), *map(Send, answer.frames[: len(answer.frames) // 2]), Until(seen), end]

    async with transport.open({"1.2": TEXT}, lambda generation: fault) as way:
        await meet(way.engine, request_of(way.engine, transport, PATH), met, seen)
        assert isinstance(met.error, StreamFault)
        assert (met.error.fault, met.error.again) == ("cut", False)
        assert met.text
        assert met.error.partial.startswith(met.text)


@pytest.mark.parametrize("name", ["sglang", "sglang-incremental"])
async def test_what_came_before_a_connection_broke_is_read_also_by_a_slow_reader(name: str) -> None:
    transport, met, seen = TRANSPORTS[name], Met(), anyio.Event()

    def fault(answer: Answer) -> Sequence[Act]:
        first, *rest = map(Send, answer.frames)
        return [Head(), first, Until(seen), *rest, Close()]

    async with transport.open({"1.2": TEXT}, lambda generation: fault if generation.number == 1 else None) as way:
        request = request_of(way.engine, transport, PATH)
        with pytest.raises(StreamFault) as caught:  # noqa: PT012  # reading is what raises
            async with way.engine.stream(request) as chunks:
                async for chunk in chunks:
                    met.take(chunk)
                    if not seen.is_set():
                        seen.set()
                        # When it has ended, all of the first answer has come, and its connection is known to be broken.
                        assert (await meet(way.engine, request, Met())).error is None
        assert (caught.value.fault, caught.value.partial) == ("cut", TEXT)
        assert TEXT.startswith(met.text)


@pytest.mark.parametrize("name", ALL)
async def test_a_reset_is_told_to_its_reader_and_to_nobody_else(name: str) -> None:
    transport, seen = ALL[name], anyio.Event()

    def fault(answer: Answer) -> Sequence[Act]:
        begun = [Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{")] if transport.plain else streamed(answer)
        return [*begun, Until(seen), Reset()]

    async with transport.open({"1.2": TEXT}, lambda generation: fault) as way:
        async with anyio.create_task_group() as group:
            group.start_soon(meet, way.engine, request_of(way.engine, transport, PATH), Met(), seen)
            if transport.plain:
                await taken(way)
                seen.set()
        # Whatever becomes of this one: when it has ended, the connection of the first is known to be reset.
        await meet(way.engine, request_of(way.engine, transport, PATH), Met())
    gc.collect()  # asyncio reports the errors that nobody asked about when they are forgotten, and the test fails


async def taken(way: Way) -> None:
    """Return when the server has begun to answer."""
    while not way.double.generating:  # noqa: ASYNC110  # a real server could not set an event either
        await anyio.sleep(0.001)


@pytest.mark.parametrize("name", ALL)
async def test_a_server_that_is_gone_is_named_with_its_address(name: str) -> None:
    transport, met = ALL[name], Met()
    async with transport.open({"1.2": TEXT}, lambda generation: None) as way:
        url = way.double.url
        await way.stop()
        # The first request may go out on a connection that was kept, and find it cut.
        first = await meet(way.engine, request_of(way.engine, transport, PATH), Met())
        assert first.error is not None
        assert first.error.again
        await meet(way.engine, request_of(way.engine, transport, PATH), met)
        assert isinstance(met.error, EngineUnavailable), repr(met.error)
        assert met.error.again
        assert url in str(met.error)
        assert str(met.error).endswith("(branch 1.2)")
        assert "\n" not in str(met.error)
    with pytest.raises(EngineUnavailable, match=url) as caught:
        async with transport.make(url, way.saying):
            pass
    assert "\n" not in str(caught.value)
