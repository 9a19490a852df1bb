"""What holds of the account of any agent run, in whatever order LangChain tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, LLMResult

from apr_agents.accounting import account
from apr_agents.integrations.langchain import AgentAccount
from apr_agents.trace import Trace
from tests.integrations.langchain.agents import check
from tests.support.traces import traces

TICK = 1 / 8
"""Seconds between two events, so that sums are exact."""


@dataclass(slots=True)
class HandClock:
    """A clock that is set by hand."""

    moment: float = 0.0

    def now(self) -> float:
        return self.moment

    async def sleep_until(self, moment: float) -> None:
        raise NotImplementedError


class Told:
    """What was told so far. Its mutable state is the open runs, each with its kind and its parent, and the tokens."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.agent = AgentAccount(self.clock)
        self.open: dict[UUID, tuple[str, UUID | None]] = {}
        self.tokens = 0

    def begin(self, kind: str, parent: UUID | None) -> None:
        run = uuid4()
        self.open[run] = (kind, parent)
        facts: dict[str, Any] = {"run_id": run, "parent_run_id": parent, "name": kind, "metadata": {}, "tags": []}
        if kind == "model":
            self.agent.on_chat_model_start({}, [[]], **facts)
        elif kind == "tool":
            self.agent.on_tool_start({}, "", **facts)
        else:
            self.agent.on_chain_start({}, {}, **facts)

    def end(self, run: UUID, tokens: int, fails: bool) -> None:
        kind, _ = self.open.pop(run)
        if kind == "model" and not fails:
            usage = UsageMetadata(input_tokens=5, output_tokens=tokens, total_tokens=5 + tokens)
            said = ChatGeneration(message=AIMessage("", usage_metadata=usage))
            self.agent.on_llm_end(LLMResult(generations=[[said]]), run_id=run)
            self.tokens += tokens
        elif fails:
            self.agent.on_chain_error(ValueError("no"), run_id=run)
        else:
            self.agent.on_chain_end({}, run_id=run)

    def leaves(self) -> list[UUID]:
        """Open runs in which nothing is open: only these can end."""
        parents = {parent for _, parent in self.open.values()}
        return [run for run in self.open if run not in parents]

    def containers(self) -> list[UUID | None]:
        return [None, *(run for run, (kind, _) in self.open.items() if kind != "model")]


@settings(max_examples=60)
@given(st.data())
def test_of_any_interleaving(data: st.DataObject) -> None:
    told = Told()
    for _ in range(data.draw(st.integers(0, 24))):
        told.clock.moment += TICK * data.draw(st.integers(0, 3))
        leaves = told.leaves()
        if leaves and data.draw(st.booleans()):
            run = data.draw(st.sampled_from(leaves))
            told.end(run, data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9)) == 0)
        else:
            kind = data.draw(st.sampled_from(["model", "model", "tool", "chain"]))
            told.begin(kind, data.draw(st.sampled_from(told.containers())))
    check(told.agent.trace())
    while told.open:
        told.clock.moment += TICK
        told.end(told.leaves()[-1], 1, fails=False)
    trace = told.agent.trace()
    check(trace)
    assert account(trace).tokens.generated == told.tokens


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_what_is_one_after_another_is_all_critical(tokens: list[int]) -> None:
    told = Told()
    for count in tokens:
        told.begin("model", None)
        told.clock.moment += TICK
        told.end(told.leaves()[0], count, fails=False)
    report = account(told.agent.trace())
    assert report.tokens.critical == report.tokens.generated == sum(tokens)
    assert report.seconds.critical == report.seconds.wall == TICK * len(tokens)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=2, max_size=6))
def test_of_what_is_side_by_side_the_longest_is_critical(calls: list[tuple[int, int]]) -> None:
    told = Told()
    for _ in calls:
        told.begin("model", None)
    for run, (tokens, seconds) in sorted(zip(list(told.open), calls, strict=True), key=lambda one: one[1][1]):
        told.clock.moment = TICK * seconds
        told.end(run, tokens, fails=False)
    report = account(told.agent.trace())
    assert report.tokens.critical == max(tokens for tokens, _ in calls)
    assert report.seconds.critical == TICK * max(seconds for _, seconds in calls)


@settings(max_examples=60)
@given(traces(), st.integers(0, 3), st.integers(0, 3))
def test_a_run_of_ours_keeps_its_account_inside_another(trace: Trace, before: int, after: int) -> None:
    """Its tokens, its critical path and its forks are those of the run by itself."""
    told = Told()
    told.begin("chain", None)
    told.begin("tool", told.leaves()[0])
    run = told.leaves()[0]
    told.clock.moment += TICK * before + trace.wall
    told.agent.on_trace(trace, run_id=run)
    told.clock.moment += TICK * after
    for _ in range(2):
        told.end(told.leaves()[0], 0, fails=False)
    whole = told.agent.trace()
    check(whole)
    alone, inside = account(trace), account(whole)
    assert inside.tokens.generated == alone.tokens.generated
    assert inside.tokens.critical == alone.tokens.critical
    assert inside.tokens.wasted == alone.tokens.wasted
    assert len(inside.forks) == len(alone.forks) + 1
    assert abs(inside.seconds.critical - alone.seconds.critical - TICK * (before + after)) < 1e-6
