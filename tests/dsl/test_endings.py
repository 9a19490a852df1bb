"""How workflows end early by script: at a step that cannot go on, a function that hangs, a budget."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from apr_agents.clock import VirtualClock
from apr_agents.dsl.calling import MAX_LEVELS
from apr_agents.dsl.execute import run_workflow
from apr_agents.dsl.yaml import parse_workflow
from apr_agents.engines.scripted import ScriptedEngine
from apr_agents.runner import Function
from apr_agents.trace import Kind
from tests.dsl.playing import Says, play
from tests.dsl.supplied import BROKEN, add, late
from tests.support.scripts import THREADWEAVER


@dataclass(frozen=True, slots=True)
class End:
    steps: str
    ended: str
    detail: str
    says: Says = field(default_factory=dict[str, Any])


ENDS = {
    "the engine": End("[{generate: a}, {generate: b}]", "failed", "steps[1]: lost", BROKEN),
    "fail fast": End(
        "[{map: [a, b], steps: [{generate: '${item}'}], join: {fail_fast: true}}]",
        "branch_failed",
        "steps[0]: branch 1.2 failed: steps[0].steps[0]: lost",
        {**BROKEN, "a": late("one", 9)},
    ),
    "all branches": End(
        "[{map: [b, b], steps: [{generate: '${item}'}]}]",
        "failed",
        "steps[0]: no branch succeeded; 1.1: steps[0].steps[0]: lost",
        BROKEN,
    ),
    "a function": End("[{call: broken}]", "failed", "steps[0]: @broken raised ValueError: no"),
    "what it returns": End(
        "[{call: foreign}]", "failed", "steps[0]: @foreign returned a Foreign that is neither JSON nor text"
    ),
    "a value of too many levels": End(
        "[{call: deep}]", "failed", "steps[0]: @deep returned a value of more than 100 levels; expected a flatter one"
    ),
    "its argument": End(
        "[{call: text, arguments: {item: a}, as: x}, {call: add, arguments: {one: '${x}', other: 1}}]",
        "failed",
        "steps[1]: @add: one: Input should be a valid integer",
    ),
    "a part that is not there": End(
        "[{fork: {a: [{generate: a}]}, as: x}, {generate: '${x.b}'}]",
        "failed",
        "steps[1]: `${x.b}`: the mapping has no `b`",
    ),
    "a condition": End(
        "[{call: text, arguments: {item: a}, as: x}, {when: {above: ['${x}', 1]}, then: [{generate: b}]}]",
        "failed",
        'steps[1].when: "${x}" is "a"; expected a number',
    ),
    "inside a repetition": End(
        "[{repeat: [{when: {equals: [1, 1]}, then: [{generate: b}]}], most: 2}]",
        "failed",
        "steps[0].repeat[0].then[0]: lost",
        BROKEN,
    ),
    "scores that do not fit": End(
        "[{select: [a, b], by: best, scores: [1]}]", "failed", "steps[0]: 1 scores for 2 items; expected one for each"
    ),
    "a score that is no number": End(
        "[{score: [a], by: text}]", "failed", 'steps[0]: text returned "a"; expected a number'
    ),
    "a limit of a request": End(
        "[{reason: a, sampling: {max_tokens: 1}}, {generate: b}]",
        "max_tokens",
        "steps[0]: the request's limit of 1 tokens was reached",
    ),
}


class Foreign:
    def __str__(self) -> str:
        raise RuntimeError("no")


def deep() -> object:
    value: list[object] = []
    for _ in range(MAX_LEVELS):
        value = [value]
    return value


def foreign() -> Foreign:
    return Foreign()


def broken() -> None:
    raise ValueError("no")


def text(item: str) -> str:
    return item


@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS)
async def test_a_step_that_cannot_go_on_ends_the_run_with_its_place(case: End) -> None:
    played = await play(
        case.steps, case.says, functions={"broken": broken, "deep": deep, "foreign": foreign, "text": text, "add": add}
    )
    result = played.answered.result
    assert (result.ended, result.detail[: len(case.detail)]) == (case.ended, case.detail)
    assert played.answered.value is None


async def hang(item: str) -> int:
    if item != "quick":
        await anyio.sleep_forever()
    return 1


HANGS = "@hang did not return within 30 s"


@pytest.mark.parametrize(
    ("step", "detail"),
    [
        ("{call: hang, arguments: {item: a}}", f"steps[0]: {HANGS}"),
        ("{score: [quick, a], by: hang}", f"steps[0]: {HANGS}"),
        (
            "{map: [a], steps: [{call: hang, arguments: {item: a}}]}",
            f"steps[0]: no branch succeeded; 1.1: steps[0].steps[0]: {HANGS}",
        ),
    ],
    ids=["call", "score", "branch"],
)
async def test_a_function_that_hangs_has_failed_when_its_seconds_are_over(step: str, detail: str) -> None:
    played = await play(f"[{step}, {{generate: b}}]", functions={"hang": Function("hang", hang, seconds=30)})
    result = played.answered.result
    assert (result.ended, result.detail) == ("failed", detail)
    assert result.trace.wall == 30
    assert [span.outcome for span in played.spans if span.kind is Kind.call][-1] == "failed"


async def test_a_function_s_seconds_hold_for_each_call_alone() -> None:
    clock = VirtualClock()

    async def slow(item: str) -> str:
        await clock.sleep_until(clock.now() + 20)
        return item

    function = Function("slow", slow, seconds=30)
    workflow = parse_workflow(
        "name: a\nsteps: [{map: 3, steps: [{call: slow, arguments: {item: a}}, {call: slow, arguments: {item: b}}]}]",
        "f",
    )
    engine = ScriptedEngine({}, THREADWEAVER, clock=clock)
    answered = await run_workflow(workflow, engine, {}, functions={"slow": function})
    assert (answered.value, answered.result.trace.wall) == (["b", "b", "b"], 40)


@pytest.mark.parametrize(
    ("budget", "steps", "ended"),
    [
        ("tokens: 5", "[{generate: a}, {generate: b}]", "tokens"),
        ("seconds: 1.5", "[{generate: slow}, {generate: slow}]", "seconds"),
        ("run_branches: 3", "[{map: 3, steps: [{generate: a}]}, {map: 1, steps: [{generate: a}]}]", "run_branches"),
    ],
)
async def test_one_budget_holds_over_all_steps(budget: str, steps: str, ended: str) -> None:
    played = await play(f"name: a\nbudget: {{{budget}}}\nsteps: {steps}", {"slow": late("one", 1)})
    assert played.answered.result.ended == ended
    assert played.answered.value is None
