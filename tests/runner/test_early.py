"""Calls that start while the model still writes the outlines of their block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apr_agents.accounting import account
from apr_agents.clock import VirtualClock
from apr_agents.engines.base import Request
from apr_agents.engines.scripted import Reply, Script, ScriptedEngine
from apr_agents.errors import PlanChanged
from apr_agents.runner import Budget, Function, JoinRule, RunResult, Settings, run, stream
from apr_agents.runner.settings import request_seed
from apr_agents.runner.spawner import Spawner
from apr_agents.trace import Trace
from tests.runner.test_resumed import Killed, Notebook
from tests.support.replay import Record, RecordingSpawner, ReplayingSpawner
from tests.support.scripts import QUESTION, THREADWEAVER, Ran, block, check, closed, ran, spans_of

PLAN = block("@look {}", "left", "right")
SCRIPT: dict[str, Any] = {
    "": [Reply(PLAN, token_seconds=1), "end"],
    "1.2": closed(" a"),
    "1.3": closed(" b"),
}


class Look:
    """A call that takes so many virtual seconds; its mutable state is when it began and ended."""

    def __init__(self, seconds: float = 0) -> None:
        self.clock = VirtualClock()
        self.seconds = seconds
        self.began: list[float] = []
        self.ended: list[float] = []
        self.begun = anyio.Event()

    @property
    def functions(self) -> Mapping[str, Function]:
        return {"look": Function("look", self.look)}

    async def look(self) -> str:
        self.began.append(self.clock.now())
        self.begun.set()
        await self.clock.sleep_until(self.clock.now() + self.seconds)
        self.ended.append(self.clock.now())
        return "found"

    def engine(self, script: Script, chunk_tokens: int = 1) -> ScriptedEngine:
        return ScriptedEngine(script, THREADWEAVER, clock=self.clock, chunk_tokens=chunk_tokens)

    async def ran(self, script: Script, chunk_tokens: int = 1, **given: Any) -> Ran:
        return await ran(self.engine(script, chunk_tokens), functions=self.functions, **given)


def _tokens(text: str) -> int:
    """How many tokens the scripted engine makes of this text."""
    return len(ScriptedEngine({}, THREADWEAVER).vocabulary.pieces(text))


OUTLINED = _tokens(PLAN[: PLAN.index("</Outline>") + len("</Outline>")])
"""Tokens up to the end of the first outline, each a second."""
PLANNED = _tokens(PLAN)


async def test_a_call_ends_before_the_next_outline_is_written() -> None:
    look = Look()
    done = await look.ran(SCRIPT)
    assert look.began == look.ended == [OUTLINED]
    assert done.result.text.startswith(f"{PLAN}\n<Thread>1: found</Thread>\n<Thread>2: a</Thread>")
    late = Look()
    await late.ran(SCRIPT, eager=False)
    assert late.began == [PLANNED]


async def test_its_span_is_behind_the_outlines_and_beside_the_rest_of_the_plan() -> None:
    done = await Look(seconds=2).ran(SCRIPT)
    assert spans_of(done.result.trace, "")[1:3] == [
        ("decode", 0, OUTLINED, "done"),
        ("decode", OUTLINED, PLANNED, "done"),
    ]
    assert spans_of(done.result.trace, "1.1") == [("call", OUTLINED, OUTLINED + 2, "done")]
    (call,) = (span for span in done.result.trace.spans if span.path == "1.1")
    assert [(edge.span, edge.kind) for edge in call.after] == [("#2", "fork")]


@pytest.mark.parametrize("seconds", [0, 3, 100])
async def test_the_critical_path_takes_the_longer_way_and_is_the_wall_time(seconds: float) -> None:
    done = await Look(seconds).ran(SCRIPT)
    report = account(done.result.trace)
    assert done.result.trace.wall == max(PLANNED, OUTLINED + seconds) == report.seconds.critical
    assert report.seconds.by_kind.tool == (seconds if OUTLINED + seconds > PLANNED else 0)
    late = await Look(seconds).ran(SCRIPT, eager=False)
    assert late.result.trace.wall - done.result.trace.wall == min(seconds, PLANNED - OUTLINED)


async def test_the_prompt_of_a_request_in_stretches_counts_once() -> None:
    early, late = await Look().ran(SCRIPT), await Look().ran(SCRIPT, eager=False)
    tokens = [account(done.result.trace).tokens for done in (early, late)]
    assert tokens[0] == tokens[1]
    assert account(early.result.trace).missing == account(late.result.trace).missing
    assert [request.context.text for request in early.engine.requests] == [
        request.context.text for request in late.engine.requests
    ]


OUTLINES = st.sampled_from(["@look {}", '@look {"no": 1}', "@look", "@gone {}", "left", " ", "@look {", "x" * 30])


@settings(max_examples=60, deadline=None)
@given(
    outlines=st.lists(OUTLINES, min_size=1, max_size=7),
    chunk=st.integers(1, 9),
    most=st.integers(1, 8),
    whole=st.integers(1, 8),
    order=st.sampled_from([JoinRule(), JoinRule(fail_fast=True)]),
    seconds=st.integers(0, 30),
)
async def test_what_is_joined_is_what_it_is_without(
    outlines: list[str], chunk: int, most: int, whole: int, order: JoinRule, seconds: int
) -> None:
    script = {path: closed(f" {path}") for path in (f"{n}.{m}" for n in (1, 2) for m in range(1, 8))}
    said: Sequence[Any] = [Reply(block(*outlines), token_seconds=1), block("@look {}", "more"), "end"]
    given = {"budget": Budget(branches=most, run_branches=whole), "join": order}
    each = [
        await Look(seconds).ran({**script, "": said}, chunk_tokens=chunk, eager=eager, **given)
        for eager in (True, False)
    ]
    early, late = (done.result for done in each)
    if not order.fail_fast:
        assert early.text == late.text
        assert [(one.branch, one.text) for one in early.outcomes] == [(one.branch, one.text) for one in late.outcomes]
        assert early.trace.branches == late.trace.branches
    assert (early.ended, early.trace.response is None) == (late.ended, late.trace.response is None)


BROKEN = block("@look {}").replace("</Outlines>", "") + "</Parallel> so "


@pytest.mark.parametrize("seconds", [0, 1_000])
async def test_a_block_that_is_never_whole_gives_its_calls_up(seconds: float) -> None:
    look = Look(seconds)
    done = await look.ran({"": Reply(f"{BROKEN} the end", token_seconds=1)})
    (branch,) = done.result.trace.branches
    assert look.began
    assert (branch.path, branch.outcome, branch.joined) == ("1.1", "cancelled" if seconds else "done", False)
    assert branch.detail == ("its block was never whole" if seconds else "")
    assert done.result.text == f"{BROKEN} the end"
    assert len(look.ended) == (not seconds)
    report = account(done.result.trace)
    assert report.seconds.by_kind.tool == 0
    assert report.forks[0].branches[0].joined is False
    assert done.result.trace.wall == report.seconds.critical == _tokens(f"{BROKEN} the end") + 1


async def test_the_block_behind_one_that_is_never_whole_has_paths_of_its_own() -> None:
    look = Look(50)
    done = await look.ran(
        {"": [Reply(BROKEN + PLAN, token_seconds=1), "end"], "2.2": closed(" a"), "2.3": closed(" b")},
    )
    assert [(one.path, one.outcome, one.joined) for one in done.result.trace.branches] == [
        ("1.1", "cancelled", False),
        ("2.1", "done", True),
        ("2.2", "done", True),
        ("2.3", "done", True),
    ]
    assert [block.number for block in done.result.trace.blocks] == [1, 2]


async def test_a_failing_engine_gives_its_calls_up() -> None:
    look = Look(1_000)
    done = await look.ran({"": Reply(block("@look {}", "left")[:-20], token_seconds=1, error="lost")})
    assert done.result.ended == "failed"
    assert [(one.path, one.outcome) for one in done.result.trace.branches] == [("1.1", "cancelled")]


async def test_a_run_that_is_left_gives_its_calls_up() -> None:
    look = Look(1_000)
    engine = look.engine(SCRIPT)
    async with stream(engine, QUESTION, Settings(THREADWEAVER, functions=look.functions)) as live:
        await look.begun.wait()
    check(live.result(), engine)
    assert live.result().ended == "cancelled"
    assert look.ended == []


async def test_the_seconds_of_a_run_end_its_calls() -> None:
    look = Look(1_000)
    done = await look.ran(SCRIPT, budget=Budget(seconds=OUTLINED + 1.5))
    assert done.result.ended == "seconds"
    assert done.result.trace.wall == OUTLINED + 1.5
    assert [(one.path, one.outcome) for one in done.result.trace.branches] == [("1.1", "cancelled")]


async def test_one_place_is_enough() -> None:
    look = Look(2)
    done = await look.ran(SCRIPT, budget=Budget(concurrency=1))
    assert done.result.ok
    assert look.began == [PLANNED]
    assert spans_of(done.result.trace, "1.1")[0] == ("queue", OUTLINED, PLANNED, "done")


async def test_the_first_to_succeed_may_have_ended_before_the_fork() -> None:
    slow = {"1.2": Reply(closed(" a"), token_seconds=1), "1.3": Reply(closed(" b"), token_seconds=1)}
    done = await Look().ran({**SCRIPT, **slow}, join=JoinRule("first"))
    assert [(one.branch.path, one.branch.joined) for one in done.result.outcomes] == [
        ("1.1", True),
        ("1.2", False),
        ("1.3", False),
    ]
    assert done.result.trace.blocks[0].trigger == "1.1"


async def test_a_deadline_counts_from_the_fork() -> None:
    look = Look(1_000)
    slow = {**SCRIPT, "1.3": Reply(closed(" b"), token_seconds=1_000)}
    done = await look.ran(slow, join=JoinRule("deadline", seconds=7))
    assert [one.branch.outcome for one in done.result.outcomes] == ["done", "cancelled", "cancelled"]
    assert done.result.trace.wall == PLANNED + 7
    assert account(done.result.trace).seconds.critical == PLANNED + 7


async def test_calls_inside_a_branch_are_early_too() -> None:
    from tests.runner.test_replay import NESTING

    look = Look()
    script = {"": [block("a"), "end"], "1.1": [Reply(PLAN, token_seconds=1), closed(" so")]}
    script |= {"1.1/1.2": closed(" a"), "1.1/1.3": closed(" b")}
    engine = ScriptedEngine(script, NESTING, clock=look.clock)
    done = await ran(engine, dialect=NESTING, functions=look.functions)
    assert done.result.ok
    assert look.began == [OUTLINED]


def _replies(request: Request) -> Reply:
    """A deterministic model: goes on from wherever its text was cut."""
    said = {
        "": [f"{block('@look {}', 'left', '@look {}')}", f"{block('@look {}', 'left')}", "the end"],
        "1.2": [closed(" a b")],
        "2.2": [closed(" c")],
    }[str(request.path)]
    seeds = [request_seed(0, request.path, turn) for turn in range(1, len(said) + 1)]
    whole, before = said[seeds.index(request.sampling.seed)], ""
    for link in request.context.links():
        if link.segment.origin != "generated":
            break
        before = link.segment.text + before
    return Reply(whole.removeprefix(before), token_seconds=1)


async def _durable(notebook: Notebook, spawner: Spawner, look: Look) -> RunResult:
    given = Settings(THREADWEAVER, functions=look.functions)
    engine = look.engine(_replies)
    result = await run(engine, QUESTION, given, spawner=spawner, journal=notebook, run_id="r")
    check(result, engine)
    return result


def _shape(trace: Trace) -> list[Any]:
    """What a trace says, apart from where requests were cut."""
    return [[(one.path, one.outcome, one.joined) for one in trace.branches], trace.blocks]


async def test_pieces_end_with_the_outlines_of_calls_and_are_sealed_before_them() -> None:
    look, spawner = Look(), RecordingSpawner()
    notebook = Sealing(look)
    await _durable(notebook, spawner, look)
    assert notebook.made == ["decode#1", "decode#1.2", "decode#1.3", "synthesis#2", "synthesis#2.2", "synthesis#3"]
    assert notebook.told == [
        ("decode#1", 0),
        ("decode#1.2", 1),
        ("decode#1.3", 2),
        ("synthesis#2", 2),
        ("synthesis#2.2", 3),
    ]
    assert spawner.record.started == ["1.1", "1.3", "1.2", "2.1", "2.2"]


class Sealing(Notebook):
    """A journal that also notes, at each seal, the newest piece and how many calls had begun."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.told: list[tuple[str, int]] = []
        self._look = look

    async def seal(self) -> None:
        self.told.append((self.made[-1], len(self._look.began)))


@pytest.mark.parametrize("lives", range(6))
@pytest.mark.parametrize("keeps", [(), ("1.1",), ("1.1", "1.3")])
async def test_a_run_killed_after_any_piece_goes_on_from_there(lives: int, keeps: tuple[str, ...]) -> None:
    whole = await _durable(Notebook(), RecordingSpawner(), Look())
    notebook, spawner, look = Notebook(lives=lives), RecordingSpawner(), Look()
    with pytest.raises((Killed, BaseExceptionGroup)):
        await _durable(notebook, spawner, look)
    record = Record()
    record.ended = spawner.record.ended
    record.outcomes = {name: spawner.record.outcomes[name] for name in keeps if name in spawner.record.outcomes}
    resumed, again = Notebook(notebook.kept), Look()
    result = await _durable(resumed, ReplayingSpawner(record), again)
    assert not set(resumed.made) & set(notebook.kept)
    assert (result.text, result.ended) == (whole.text, whole.ended)
    assert _shape(result.trace) == _shape(whole.trace)
    assert [span.id for span in result.trace.spans] == [span.id for span in whole.trace.spans]
    tokens = [account(one.trace).tokens for one in (result, whole)]
    assert tokens[0].generated == tokens[1].generated
    assert tokens[0].prompt == tokens[1].prompt
    assert len(again.began) == 3 - len(record.outcomes)


async def test_a_run_that_is_resumed_whole_is_the_same_to_the_last_span() -> None:
    notebook, spawner = Notebook(), RecordingSpawner()
    whole = await _durable(notebook, spawner, Look())
    again = await _durable(Notebook(notebook.kept), ReplayingSpawner(spawner.record), Look())
    assert again.trace.spans == whole.trace.spans
    assert again.trace.response == whole.trace.response


async def test_a_resume_with_another_plan_is_refused() -> None:
    notebook = Notebook()
    await _durable(notebook, RecordingSpawner(), Look())
    engine = Look().engine(_replies)
    with pytest.raises(PlanChanged, match="the run had started calls early: resume with the functions"):
        await run(engine, QUESTION, Settings(THREADWEAVER), journal=Notebook(notebook.kept), run_id="r")
    notebook.kept["decode#1.2"] = notebook.kept["decode#1.3"]
    with pytest.raises(PlanChanged):
        await _durable(notebook, RecordingSpawner(), Look())
