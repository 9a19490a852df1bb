"""Each kind of step by script: its value, what the model was asked, and the check of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from apr_agents.accounting import account
from apr_agents.dsl.values import Value
from apr_agents.trace import Kind
from tests.dsl.playing import Says, play
from tests.dsl.supplied import add
from tests.support.scripts import block


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
