"""Runs over servers at fault: other branches and what was finished are kept, and the server counts the requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from apr_agents import Budget, JoinRule, RunResult, Settings, account, load_dialect, run, stream
from apr_agents.errors import ContextFull
from apr_agents.runner.outcome import Outcome
from tests.engines.faults.met import TEXT, Met, freed
from tests.engines.faults.scenarios import HANGS, NATIVE_ONLY, STREAMED, Scenario, refuse
from tests.engines.faults.transports import LITELLM, TRANSPORTS, Transport, Way
from tests.support.scripts import block
from tests.support.servers.acts import Close, Reset
from tests.support.servers.double import Fault, Faults, Generation

pytestmark = [pytest.mark.enable_socket, pytest.mark.filterwarnings(LITELLM)]

DIALECT = load_dialect("threadweaver")
MOST = 3
"""Requests for what one request was asked for: itself, and twice again."""
SECONDS = 1.0
"""For a run whose server hangs."""
SLOW = 10.0
"""Seconds in which any machine has noticed that a deadline passed."""
BIG = Budget(branches=64, run_branches=64, concurrency=64, seconds=60)


async def go(way: Way, transport: Transport, settings: Settings) -> RunResult:
    """The run, watched where the transport is for requests that are."""
    if not transport.watched:
        return await run(way.engine, "Numbers: 1 2 3", settings)
    async with stream(way.engine, "Numbers: 1 2 3", settings) as live:
        async for _ in live:
            pass
        return live.result()


def script_of(branches: int) -> dict[str, str | Sequence[str]]:
    """A block of so many branches, and what comes behind it."""
    said = {f"1.{number}": TEXT for number in range(1, branches + 1)}
    return {"": (block(*["a"] * branches), " all seen"), **said}


def faults_of(mets: Mapping[str, Met], does: Mapping[str, Scenario]) -> Faults:
    def fault(generation: Generation) -> Fault | None:
        path = generation.branch
        return mets[path].plays(does[path]) if path in does else None

    return fault


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_one_run_meets_every_fault_and_keeps_what_there_is(name: str) -> None:
    transport = TRANSPORTS[name]
    scenarios = (*STREAMED, *(NATIVE_ONLY if transport.native else ()))
    does = {f"1.{number}": scenario for number, scenario in enumerate(scenarios, 1)}
    mets = {path: Met() for path in does}
    async with transport.open(script_of(len(does)), faults_of(mets, does), window=2**16) as way:
        result = await go(way, transport, Settings(DIALECT, budget=BIG))
        assert result.ended == "answered", result.detail
        assert result.answer == "all seen"
        assert [outcome.branch.path for outcome in result.outcomes] == list(does)
        for outcome in result.outcomes:
            path = outcome.branch.path
            check_branch(way, does[path], mets[path], outcome)
        sent_again = len(way.double.generations) - len(does) - 2
        assert account(result.trace).retries == sent_again
        assert sent_again <= max(4, (len(does) + 2) * BIG.retries)


def check_branch(way: Way, scenario: Scenario, met: Met, outcome: Outcome) -> None:
    out, branch, asked = scenario.out, outcome.branch, len(way.double.asked(outcome.branch.path))
    if out is None:
        assert (branch.outcome, outcome.text, asked) == ("done", TEXT, 1), scenario.name
        return
    assert branch.outcome == ("truncated" if out.kind is ContextFull else "failed"), scenario.name
    assert way.double.url in branch.detail, scenario.name
    assert "\n" not in branch.detail
    assert outcome.text.startswith(met.sent_before_finish), scenario.name
    in_vain = out.wait is not None and out.wait > BIG.seconds
    lost = any(isinstance(act, Reset) for act in met.acts)  # then nothing may have been read
    may = (out.again is not False or lost) and not in_vain
    assert 1 <= asked <= (MOST if may else 1), scenario.name


FIRST = {
    "1.1": Scenario("503", refuse(503), None),
    "1.2": Scenario("FIN before the headers", lambda answer: [Close()], None),
    "1.3": Scenario("429 with Retry-After", refuse(429, retry_after="0"), None),
}
"""What passes when the request is sent once more."""


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_what_passes_is_asked_once_more_and_counted(name: str) -> None:
    transport, mets = TRANSPORTS[name], {path: Met() for path in FIRST}

    def fault(generation: Generation) -> Fault | None:
        path = generation.branch
        return mets[path].plays(FIRST[path]) if path in FIRST and generation.number == 1 else None

    async with transport.open(script_of(4), fault) as way:
        result = await go(way, transport, Settings(DIALECT))
        assert result.ended == "answered"
        assert [(one.branch.outcome, one.text) for one in result.outcomes] == [("done", TEXT)] * 4
        assert [len(way.double.asked(f"1.{number}")) for number in range(1, 5)] == [2, 2, 2, 1]
        assert account(result.trace).retries == len(FIRST)


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_a_run_that_no_server_lets_begin_fails_and_says_where(name: str) -> None:
    transport, met = TRANSPORTS[name], Met()
    async with transport.open({"": " never"}, lambda generation: met.plays(FIRST["1.1"])) as way:
        result = await go(way, transport, Settings(DIALECT, budget=Budget(retries=0)))
        assert (result.ended, result.text) == ("failed", "")
        assert way.double.url in result.detail
        assert "503" in result.detail
        assert len(way.double.generations) == 1


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_a_server_that_hangs_holds_no_run_beyond_its_seconds(name: str) -> None:
    transport = TRANSPORTS[name]
    does = {f"1.{number}": scenario for number, scenario in enumerate(HANGS, 1)}
    mets = {path: Met() for path in does}
    async with transport.open(script_of(len(does) + 1), faults_of(mets, does)) as way:
        way.double.hang_abort = True
        seconds, result = SECONDS, await go(way, transport, Settings(DIALECT, budget=Budget(seconds=SECONDS)))
        while not all(map(way.double.asked, does)):  # a slow machine needs longer to come to them
            seconds *= 2
            way.double.generations.clear()
            result = await go(way, transport, Settings(DIALECT, budget=Budget(seconds=seconds)))
        assert result.ended == "seconds"
        assert result.trace.wall < seconds + SLOW
        for outcome in result.outcomes:
            assert outcome.branch.outcome == "cancelled" or outcome.branch.path not in does
            assert TEXT.startswith(outcome.text.removesuffix("</Thread>"))
        await freed(way)


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_a_join_does_not_wait_for_a_server_that_hangs(name: str) -> None:
    transport = TRANSPORTS[name]
    does = {"1.1": next(scenario for scenario in HANGS if scenario.name == "a hang between events")}
    mets = {path: Met() for path in does}
    async with transport.open(script_of(2), faults_of(mets, does)) as way:
        way.double.hang_abort = True
        result = await go(way, transport, Settings(DIALECT, join=JoinRule("first"), budget=Budget(seconds=600)))
        assert result.ended == "answered"
        assert [(one.branch.path, one.branch.outcome) for one in result.outcomes] == [
            ("1.2", "done"),
            ("1.1", "cancelled"),
        ]
        assert result.outcomes[0].text == TEXT
        await freed(way)
