"""The budget: laws of its ledger, and engines that take whatever they can get."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apr_agents.dialects import load_dialect
from apr_agents.engines.base import Request
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.errors import BudgetError, UsageError
from apr_agents.runner import Budget, Function, Settings
from apr_agents.runner.budget import Ledger
from tests.support.scripts import THREADWEAVER, Ran, block, closed, generated, ran, slow, spans_of

NESTING = replace(THREADWEAVER, nests=True)


# The ledger


@given(st.integers(1, 100), st.lists(st.tuples(st.integers(1, 60), st.integers(0, 60), st.booleans()), max_size=40))
def test_a_ledger_never_grants_more_than_its_tokens(tokens: int, requests: list[tuple[int, int, bool]]) -> None:
    ledger, spent, held = Ledger(Budget(tokens=tokens)), 0, list[tuple[int, int]]()
    for wanted, used, waits in requests:
        left = tokens - spent - sum(granted for granted, _ in held)
        assert ledger.left == left
        if left < 1:
            with pytest.raises(BudgetError, match="is used up"):
                ledger.reserve(wanted)
        else:
            granted = ledger.reserve(wanted)
            assert granted == min(wanted, left)
            held.append((granted, min(used, granted)))
        if held and not waits:
            granted, settled = held.pop(0)
            ledger.settle(granted, settled)
            spent += settled
    for granted, settled in held:
        ledger.settle(granted, settled)
        spent += settled
    assert ledger.left == tokens - spent >= 0


@given(st.integers(1, 20), st.integers(1, 50), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=20))
def test_a_ledger_admits_no_branch_over_its_bounds(block: int, run: int, forks: list[tuple[int, int]]) -> None:
    ledger, count = Ledger(Budget(branches=block, run_branches=run)), 0
    for wanted, restored in forks:
        assert ledger.may_fork == (count < run)
        admitted = ledger.admit(wanted)
        assert admitted == max(0, min(wanted, block, run - count))
        ledger.restore(0, restored)
        count += admitted + restored


@pytest.mark.parametrize("bound", ["branches", "run_branches", "depth", "concurrency", "tokens", "seconds"])
@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan, 1e12])
def test_every_bound_is_above_zero_and_finite(bound: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"budget.{bound} is .*; it must be above 0 and finite"):
        Budget(**{bound: value})  # pyright: ignore[reportArgumentType]


def test_the_defaults_are_those_that_are_documented() -> None:
    assert Budget() == Budget(16, 64, 2, 20, 65_536, 600.0, 0.2)


# Branches


class Greedy(ScriptedEngine):
    """Answers everything with the widest block that it may still open, and then some."""

    most = 0
    """Requests in flight at one time."""

    def __init__(self, width: int) -> None:
        super().__init__(self.reply, NESTING, chunk_tokens=100)
        self._text = block(*["x"] * width)

    def reply(self, request: Request) -> Reply:
        self.most = max(self.most, self.open_requests)
        if "</Outlines>" in request.stops:
            return Reply(self._text, token_seconds=0.01)
        return Reply(closed(" x"), token_seconds=0.01)

    @property
    def paths(self) -> set[str]:
        return {str(request.path) for request in self.requests} - {""}


@pytest.mark.parametrize("concurrency", [1, 16, 64])
@pytest.mark.parametrize("width", [1, 16, 40])
async def test_a_greedy_engine_stops_at_the_caps_exactly(concurrency: int, width: int) -> None:
    engine = Greedy(width)
    done = await ran(engine, dialect=NESTING, budget=Budget(concurrency=concurrency))
    assert (done.result.ended, done.result.detail) == ("run_branches", "the run's budget of 64 branches is used up")
    assert len(engine.paths) == 64
    assert engine.most <= concurrency
    # At most 48 of the 64 are leaves: the run's own block has to be there first.
    assert engine.most == (1 if width == 1 else min(concurrency, 48))
    started = [branch for branch in done.result.trace.branches if branch.outcome != "refused"]
    assert {branch.path for branch in started} == engine.paths
    per_block: dict[str, int] = {}
    for branch in started:
        name = branch.path.rpartition(".")[0]
        per_block[name] = per_block.get(name, 0) + 1
    assert max(per_block.values()) == min(16, width)
    assert max(request.path.depth for request in engine.requests) == 2


async def test_a_refused_branch_is_shown_to_the_model() -> None:
    script = {"": [block("a", "b", "c"), "end"], "1.1": closed(" a"), "1.2": closed(" b")}
    done = await ran(script, budget=Budget(branches=2))
    told = "refused: a block may have 2 branches and a run 64"
    assert done.result.text.endswith(f"<Thread>2: b</Thread>\n<Thread>3: {told}</Thread>\n</Parallel>\nend")
    assert [(one.branch.outcome, one.branch.detail) for one in done.result.outcomes][2] == ("refused", told)
    assert done.result.ended == "answered"


async def test_a_plan_of_countless_branches_costs_little() -> None:
    plan = "<Parallel>\n<Outlines>\n" + "".join(f"<Outline>{n}: x</Outline>" for n in range(1, 5001)) + "</Outlines>"
    script = {"": [plan, "end"], **{f"1.{n}": closed(" x") for n in range(1, 17)}}
    done = await ran(script, max_tokens=40_000)
    outcomes = [branch.outcome for branch in done.result.trace.branches]
    assert outcomes == ["done"] * 16 + ["refused"] * 16
    assert len(done.result.text) < len(plan) + 32 * 100
    notes = done.result.trace.notes
    assert len(notes) <= 102
    assert done.result.ended == "answered"


async def test_a_number_of_a_billion_is_one_branch() -> None:
    plan = "<Parallel>\n<Outlines>\n<Outline>999999999: x</Outline>\n</Outlines>"
    engine = ScriptedEngine({"": [plan, "end"], "1.1": closed(" x")}, THREADWEAVER)
    tracemalloc.start()
    done = await ran(engine)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [branch.number for branch in done.result.trace.branches] == ["999999999"]
    assert peak < 10_000_000


async def test_a_block_may_be_wider_than_the_parser_reads_by_default() -> None:
    wide = block(*["x"] * 200)
    done = await ran(
        lambda request: closed(" x") if request.path.depth else (wide if request.context.tokens < 100 else "end"),
        budget=Budget(branches=200, run_branches=200),
    )
    assert [branch.outcome for branch in done.result.trace.branches] == ["done"] * 200


# Requests and calls in flight


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_calls_and_requests_share_the_places(concurrency: int) -> None:
    busy, most = 0, 0

    async def work() -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy + engine.open_requests)
        await engine.clock.sleep_until(engine.clock.now() + 2)
        busy -= 1

    script = {
        "": [block("@work", "a", "@work", "b", "@work"), "end"],
        "1.2": slow("a", 2),
        "1.4": slow("b", 2),
    }
    engine = ScriptedEngine(script, THREADWEAVER)
    done = await ran(engine, budget=Budget(concurrency=concurrency), functions={"work": Function.of(work)})
    assert most == concurrency
    assert [branch.outcome for branch in done.result.trace.branches] == ["done"] * 5
    assert done.result.trace.wall == math.ceil(5 / concurrency) * 2


# Tokens


@settings(max_examples=60)
@given(st.integers(1, 400), st.integers(1, 5), st.integers(1, 20), st.integers(1, 7), st.booleans())
def test_no_run_generates_more_than_its_tokens(
    tokens: int, width: int, concurrency: int, chunk: int, endless: bool
) -> None:
    def reply(request: Request) -> str:
        if endless and request.path.depth == 2:
            return " word" * 1000
        return block(*["x"] * width) if "</Outlines>" in request.stops else closed(" word" * 9)

    async def once() -> Ran:
        engine = ScriptedEngine(reply, NESTING, chunk_tokens=chunk)
        return await ran(engine, dialect=NESTING, budget=Budget(tokens=tokens, concurrency=concurrency))

    done = anyio.run(once)
    assert generated(done.result.trace.spans) <= tokens
    assert all(request.max_tokens >= 1 for request in done.engine.requests)
    assert done.result.ended in ("tokens", "run_branches")


async def test_each_branch_has_a_fair_share_of_the_tokens() -> None:
    endless = " word" * 1000
    script = {"": [block("a", "b"), "end"], "1.1": endless, "1.2": endless}
    done = await ran(script, budget=Budget(tokens=200))
    first, one, two, synthesis = (request.max_tokens for request in done.engine.requests)
    plan = len(done.engine.encode(block("a", "b"), control=True))
    assert (first, one, two) == (200, (200 - plan) // 3, (200 - plan) // 3)
    assert synthesis == 200 - plan - one - two
    assert done.result.ended == "answered"
    details = [outcome.branch.detail for outcome in done.result.outcomes]
    assert details == ["its share of the run's budget of tokens is used up"] * 2


async def test_a_run_out_of_tokens_says_so_and_keeps_its_text() -> None:
    done = await ran({"": "word " * 100}, budget=Budget(tokens=10))
    assert (done.result.ended, done.result.detail) == ("tokens", "the run's budget of tokens is used up")
    assert done.result.text == "word " * 5
    assert spans_of(done.result.trace, "")[-1][3] == "length"


async def test_a_block_that_uses_up_the_tokens_ends_the_run_behind_its_join() -> None:
    plan = len(ScriptedEngine({}, THREADWEAVER).encode(block("a"), control=True))
    done = await ran({"": [block("a"), "end"], "1.1": "never"}, budget=Budget(tokens=plan))
    assert done.result.ended == "tokens"
    assert done.result.outcomes[0].branch.outcome == "truncated"
    assert done.result.text == f"{block('a')}\n<Thread>1:</Thread>\n</Parallel>\n"


async def test_a_request_limit_of_its_own_is_named() -> None:
    done = await ran({"": "word " * 100}, max_tokens=4)
    assert (done.result.ended, done.result.detail) == ("max_tokens", "the request's limit of 4 tokens was reached")
    with pytest.raises(UsageError, match="max_tokens is 0"):
        Settings(THREADWEAVER, max_tokens=0)


# Seconds


async def test_a_run_out_of_seconds_keeps_what_it_has() -> None:
    done = await ran({"": Reply("word " * 100, token_seconds=1)}, budget=Budget(seconds=10.5))
    assert (done.result.ended, done.result.detail) == ("seconds", "the run's budget of 10.5 seconds is used up")
    assert (done.result.text, done.result.trace.wall) == ("word " * 5, 10.5)
    assert spans_of(done.result.trace, "")[-1] == ("decode", 0.0, 10.5, "cancelled")


async def test_a_run_out_of_seconds_joins_what_had_finished() -> None:
    script = {"": [block("a", "b", "@wait"), "never"], "1.1": slow("a", 4), "1.2": slow("b", 20)}

    async def wait() -> None:
        await anyio.sleep_forever()

    done = await ran(script, budget=Budget(seconds=9), functions={"wait": Function.of(wait)})
    assert done.result.ended == "seconds"
    assert done.result.text == f"{block('a', 'b', '@wait')}\n<Thread>1:a</Thread>\n</Parallel>\n"
    assert [(one.path, one.outcome) for one in done.result.trace.branches] == [
        ("1.1", "done"),
        ("1.2", "cancelled"),
        ("1.3", "cancelled"),
    ]
    assert done.engine.requests[1].deadline == 9


# The engine's window


async def test_a_context_that_fills_the_window_ends_the_run() -> None:
    done = await ran(ScriptedEngine({"": "word " * 100}, THREADWEAVER, window=17))
    assert (done.result.ended, done.result.detail) == ("context", "the engine's window of 17 tokens is full")
    assert done.result.text == "word " * 5


async def test_a_prompt_larger_than_the_window_is_never_sent() -> None:
    done = await ran(ScriptedEngine({"": "word"}, THREADWEAVER, window=7))
    assert (done.result.ended, done.result.text, done.engine.requests) == ("context", "", [])


async def test_a_join_larger_than_the_window_ends_the_run_with_all_branches() -> None:
    script = {"": [block("a", "b"), "never"], "1.1": closed(" word" * 10), "1.2": closed(" word" * 10)}
    done = await ran(ScriptedEngine(script, THREADWEAVER, window=60))
    assert done.result.ended == "context"
    assert [outcome.branch.outcome for outcome in done.result.outcomes] == ["done", "done"]


async def test_a_dialect_without_outlines_is_held_to_the_caps_too() -> None:
    dialect = replace(load_dialect("parallel-r1"), branches=40)
    script = {"": ["<Parallel>", "same</Summary> So."], **{f"1.{n}": "x</Path>" for n in range(1, 41)}}
    done = await ran(script, dialect=dialect)
    outcomes = [branch.outcome for branch in done.result.trace.branches]
    assert outcomes == ["done"] * 16 + ["refused"] * 16
    assert done.result.answer == "So."
