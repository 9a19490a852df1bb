"""Each kind of step by script: its value, what the model was asked, and how blocks join, fail and end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from apr_agents.accounting import account
from apr_agents.clock import VirtualClock
from apr_agents.dsl.execute import run_workflow
from apr_agents.dsl.values import Value
from apr_agents.dsl.yaml import parse_workflow
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.runner import Function
from apr_agents.trace import Kind
from tests.dsl.playing import Says, play
from tests.support.scripts import THREADWEAVER, block

MINUTE = 60.0


def late(text: str, seconds: float) -> Reply:
    """One word, thus two tokens, in this many virtual seconds."""
    return Reply(text, token_seconds=seconds / 2)


@dataclass(frozen=True, slots=True)
class Case:
    steps: str
    value: Value
    says: Says = field(default_factory=dict[str, Any])
    questions: list[str] | None = None


CASES = {
    "generate": Case("[{generate: hi}]", "said hi"),
    "generate, an answer behind its marker": Case('[{generate: hi, answer: "answer:"}]', "7", {"hi": "so answer: 7"}),
    "generate, no answer": Case('[{generate: hi, answer: "answer:"}]', None, {"hi": "so"}),
    "generate, items": Case("[{generate: hi, items: '[0-9]+'}]", ["1", "22"], {"hi": "1, 22"}),
    "generate, items by their group": Case("[{generate: hi, items: 'x=([0-9])'}]", ["1", "2"], {"hi": "x=1 x=2"}),
    "generate, a limit of its own": Case("[{generate: hi, sampling: {max_tokens: 1}}]", "one", {"hi": "one two"}),
    "a name for what follows": Case("[{generate: hi, as: x}, {generate: '${x}!'}]", "said said hi!"),
    "fork": Case("[{fork: {one: [{generate: a}], two: [{generate: b}]}}]", {"one": "said a", "two": "said b"}),
    "fork, a synthesis": Case(
        "[{fork: {one: [{generate: a}]}, join: {synthesis: 'and ${branches.one}?'}}]", "said and said a?"
    ),
    "map over a number": Case("[{map: 3, steps: [{generate: 'n ${item}'}]}]", ["said n 1", "said n 2", "said n 3"]),
    "map over a list": Case("[{map: [a, b], each: x, steps: [{generate: '${x}'}]}]", ["said a", "said b"]),
    "map, at most so many": Case("[{map: [a, b, c], limit: 2, steps: [{generate: '${item}'}]}]", ["said a", "said b"]),
    "map over nothing": Case("[{map: [], steps: [{generate: '${item}'}]}]", []),
    "map, a synthesis of all": Case(
        "[{map: [a, b], steps: [{generate: '${item}'}], join: {synthesis: '${branches.1}'}}]", "said said b"
    ),
    "call": Case("[{call: add, arguments: {one: 1, other: 2}}]", 3),
    "call, what it returns is no JSON": Case("[{call: odd}]", "{1}"),
    "score by a function": Case("[{score: [a, bbb], by: size}]", [1, 3]),
    "score of one value": Case("[{score: abc, by: size}]", 3),
    "score by the model": Case(
        "[{score: [a, b, c], prompt: 'rate ${item}', marker: 'score:'}]",
        [7, 0.5, None],
        {"rate a": "of 10, score: 7 of 10", "rate b": "score: 0.5", "rate c": "fine"},
    ),
    "score by the last number": Case("[{score: [a], prompt: 'rate ${item}'}]", [8], {"rate a": "not 3 but 8"}),
    "select the best": Case("[{select: [a, b, c], by: best, scores: [1, 3, 2]}]", "b"),
    "select the best two": Case("[{select: [a, b, c], by: best, scores: [1, 3, 2], count: 2}]", ["b", "c"]),
    "select the most frequent": Case("[{select: [a, 'b ', b, a, b], by: majority}]", "b "),
    "select the first, blanks skipped": Case("[{select: ['', a], by: first}]", "a"),
    "select the first, blanks kept": Case("[{select: ['', a], by: first, blank: keep}]", ""),
    "select from nothing": Case("[{select: [], by: first}]", None),
    "when it holds": Case("[{when: {equals: [1, 1.0]}, then: [{generate: a}], else: [{generate: b}]}]", "said a"),
    "when it does not": Case("[{when: {equals: [1, 2]}, then: [{generate: a}], else: [{generate: b}]}]", "said b"),
    "when nothing is to be done": Case("[{when: {equals: [1, 2]}, then: [{generate: a}]}]", None),
    "repeat until": Case(
        "[{repeat: [{call: add, arguments: {one: '${n}', other: 1}, as: n}], most: 9, start: {n: 0},"
        " until: {above: ['${n}', 3]}}, {generate: '${n}'}]",
        "said 4",
    ),
    "repeat at most": Case("[{repeat: [{generate: 'r ${x}', as: x}], most: 2, start: {x: 0}}]", "said r said r 0"),
    "reason": Case("[{reason: hi}]", "said hi"),
    "reason over given outlines": Case(
        "[{reason: hi, outlines: [a, b]}]", "both", lambda asked: "both" if asked == "</Parallel>" else "x</Thread>"
    ),
}


def add(one: int, other: int) -> int:
    return one + other


def odd() -> set[int]:
    return {1}


def size(item: str) -> int:
    return len(item)


FUNCTIONS = {"add": add, "odd": odd, "size": size}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_the_value_of_a_step(case: Case) -> None:
    played = await play(case.steps, case.says, functions=FUNCTIONS)
    assert played.answered.result.ended == "answered", played.answered.result.detail
    assert played.answered.value == case.value


async def test_inputs_flow_by_name() -> None:
    played = await play(
        """
name: a
inputs: {topics: texts, numbers: integers, n: integer}
steps:
  - map: ${topics}
    each: topic
    steps: [{generate: "${topic} in ${numbers} of ${n}"}]
    as: said
result: {last: "${said.1}", first: "${numbers.0}"}
""",
        topics=["a", "b"],
        numbers=[3, 5],
        n=2,
    )
    assert played.answered.value == {"last": "said b in 3 5 of 2", "first": 3}
    assert played.questions == ["a in 3 5 of 2", "b in 3 5 of 2"]


async def test_the_result_is_checked() -> None:
    file = "name: a\nsteps: [{generate: hi, as: x}]\nresult: '${x}'\ncheck: {name: equals, arguments: {text: said hi}}"
    answered = (await play(file)).answered
    assert (answered.ok, answered.check) == (True, "equals")
    answered = (await play(file.replace("said hi", "no"))).answered
    assert not answered.ok
    assert answered.result.ok


NESTED = """
- repeat:
    - map: [x, y]
      steps:
        - fork:
            up: [{generate: "up ${item} ${round}", as: a}, {generate: "${a} again"}]
            down: [{generate: "down ${item}"}]
          join: {synthesis: "join ${branches.up}"}
      as: found
    - call: add
      arguments: {one: "${round}", other: 1}
      as: round
  most: 2
  start: {round: 1}
"""


async def test_a_fork_in_a_map_in_a_repetition() -> None:
    played = await play(NESTED + "- select: ${found}\n  by: first\n", functions=FUNCTIONS)
    assert played.answered.value == "said join said said up x 2 again"
    for path in ("1.1", "1.2/1.1", "2.1/1.2", "2.2"):
        assert played.branches[path] == "done"
    report = account(played.answered.result.trace)
    assert {(fork.path, fork.number) for fork in report.forks} == {
        ("", 1), ("", 2), ("1.1", 1), ("1.2", 1), ("2.1", 1), ("2.2", 1)
    }  # fmt: skip
    assert report.tokens.critical < report.tokens.generated


async def test_a_block_s_branches_run_at_the_same_time() -> None:
    played = await play("[{map: 5, steps: [{generate: '${item}'}]}]", lambda _: late("word", MINUTE))
    assert played.answered.result.trace.wall == MINUTE


RACE = {"a": late("one", 3), "b": late("two", 1), "c": late("three", 2)}


@pytest.mark.parametrize(
    ("join", "value", "cancelled", "trigger", "wall"),
    [
        ("all", ["one", "two", "three"], set[str](), None, 3),
        ("first", [None, "two", None], {"1.1", "1.3"}, "1.2", 1),
        ("{rule: first, until: thr}", [None, "two", "three"], {"1.1"}, "1.3", 2),
        ("{rule: quorum, count: 2}", [None, "two", "three"], {"1.1"}, "1.3", 2),
        ("{rule: deadline, seconds: 2.5}", [None, "two", "three"], {"1.1"}, None, 2.5),
    ],
)
async def test_losers_are_cancelled_in_the_engine(
    join: str, value: Value, cancelled: set[str], trigger: str | None, wall: float
) -> None:
    played = await play(f"[{{map: [a, b, c], steps: [{{generate: '${{item}}'}}], join: {join}}}]", RACE)
    assert played.answered.value == value
    assert {path for path, how in played.branches.items() if how == "cancelled"} == cancelled
    (one,) = played.answered.result.trace.blocks
    assert one.trigger == trigger
    assert played.answered.result.trace.wall == wall
    assert all(request.watched for request in played.engine.requests) is (join != "all")


BROKEN = {"b": Reply("half", error="lost")}


async def test_a_branch_that_fails_is_an_outcome() -> None:
    played = await play("[{fork: {one: [{generate: a}], two: [{generate: b}]}}]", BROKEN)
    assert played.answered.value == {"one": "said a", "two": None}
    (failed,) = [branch for branch in played.answered.result.trace.branches if branch.outcome == "failed"]
    assert failed.detail == "steps[0].fork.two[0]: lost"
    assert played.answered.result.ok


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


def foreign() -> Foreign:
    return Foreign()


def broken() -> None:
    raise ValueError("no")


def text(item: str) -> str:
    return item


@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS)
async def test_a_step_that_cannot_go_on_ends_the_run_with_its_place(case: End) -> None:
    played = await play(
        case.steps, case.says, functions={"broken": broken, "foreign": foreign, "text": text, "add": add}
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


async def test_branches_share_what_is_left_of_the_budget() -> None:
    file = "name: a\nbudget: {tokens: 30}\nsteps: [{map: 2, steps: [{generate: a, as: x}, {generate: b}]}]"
    played = await play(file, lambda _: "word " * 20)
    assert played.answered.result.ended == "failed"
    assert all("share of the run's budget" in branch.detail or "budget of tokens" in branch.detail
               for branch in played.answered.result.trace.branches)  # fmt: skip
    assert account(played.answered.result.trace).tokens.generated == 20


async def test_more_branches_than_a_block_may_have_are_refused() -> None:
    head = "name: a\nbudget: {branches: 2}\ninputs: {count: integer}\n"
    played = await play(head + "steps: [{map: '${count}', steps: [{generate: '${item}'}]}]", count=3)
    assert played.answered.value == ["said 1", "said 2", None]
    assert played.branches == {"1.1": "done", "1.2": "done", "1.3": "refused"}


async def test_the_model_s_own_blocks_run_inside_given_branches() -> None:
    """Outlines of the model's, two levels down, in the same trace and under the same numbering."""

    def says(question: str) -> str:
        if question.startswith("try"):
            return block("a", "b")
        return "end" if question == "</Parallel>" else "part</Thread>"

    steps = "[{generate: first}, {map: 2, steps: [{reason: 'try ${item}'}, {reason: 'try ${item}'}]}]"
    played = await play(steps, says)
    assert played.answered.value == ["end", "end"]
    assert {"1.1/1.1", "1.1/1.2", "1.1/2.1", "1.2/2.2"} <= set(played.branches)
    kinds = [span.kind for span in played.spans if span.path == "1.1"]
    assert kinds.count(Kind.synthesis) == 2


async def test_a_check_in_a_step_is_the_run_s_verdict() -> None:
    steps = "[{generate: a, check: {name: contains, arguments: {text: %s}}}, {select: [1], by: first}]"
    assert (await play(steps % "said")).answered.ok
    answered = (await play(steps % "sad")).answered
    assert (answered.result.ok, answered.ok, answered.check) == (True, False, "contains")
