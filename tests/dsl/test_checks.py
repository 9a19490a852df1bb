"""A named check gets the answer and the values of the inputs; a misuse of it is found before anything runs."""

from __future__ import annotations

import pytest

from apr_agents.dsl.checked import Check, Checked
from apr_agents.dsl.checks import CHECKS, answer_in, run_check
from apr_agents.dsl.inputs import Value
from apr_agents.dsl.spec import CheckSpec, Data, Reason
from apr_agents.dsl.yaml import parse_workflow
from apr_agents.errors import UsageError, WorkflowError

VALUES: dict[str, Value] = {"numbers": (26, 45, 27, 21), "target": 18, "word": "eighteen", "share": 0.5}


@pytest.mark.parametrize(
    ("text", "marker", "answer"),
    [
        ("hit in 6, answer: 45 - 27 = 18 ", "answer:", "45 - 27 = 18"),
        ("answer: 1 no, answer: 2", "answer:", "2"),
        ("none", "answer:", None),
        ("hit, answer:  \n", "answer:", None),
        (" all of it\n", None, "all of it"),
        (" \n", None, None),
        ("", None, None),
    ],
)
def test_the_answer_stands_behind_the_last_marker(text: str, marker: str | None, answer: str | None) -> None:
    assert answer_in(text, marker) == answer


@pytest.mark.parametrize(
    ("name", "arguments", "answer", "ok", "detail"),
    [
        ("contains", {"text": "18"}, "it is 18", True, "the answer has '18' in it"),
        ("contains", {"text": "${target}"}, "it is 17", False, "the answer does not have '18' in it"),
        ("contains", {"text": "${numbers}!"}, "26 45 27 21!", True, "the answer has '26 45 27 21!' in it"),
        ("equals", {"text": "${word}"}, " eighteen ", True, "the answer is 'eighteen'"),
        ("equals", {"text": "$${word}"}, "eighteen", False, "the answer is 'eighteen'; expected '${word}'"),
        ("matches", {"pattern": "[0-9]+"}, " 18\n", True, "the answer matches '[0-9]+'"),
        ("matches", {"pattern": "[0-9]+"}, "18 or 19", False, "the answer does not match '[0-9]+'"),
        (
            "matches",
            {"pattern": "(a*)*b"},
            "a" * 10_001,
            False,
            "the answer has 10001 characters; expected at most 10000",
        ),
        (
            "arithmetic",
            {"numbers": "${numbers}", "target": "${target}"},
            "45 - 27 = 18",
            True,
            "each step is true and the last gives 18; not used: 26 21",
        ),
        ("arithmetic", {"numbers": (2, 3), "target": 5}, "2 + 3 = 6", False, "step 1 says 2 + 3 = 6; it is 5"),
        ("arithmetic", {"numbers": (2, 3), "target": 5}, None, False, "there is no answer"),
    ],
)
def test_a_check_with_its_arguments(
    name: str, arguments: dict[str, Data], answer: str | None, *, ok: bool, detail: str
) -> None:
    assert run_check(CheckSpec(name, arguments), answer, VALUES) == Checked(ok, detail)


def near(answer: str, *, target: float, within: float = 1.0) -> Checked:
    """A check of a Python caller's own."""
    distance = abs(float(answer) - target)
    return Checked(distance <= within, f"{distance:g} away")


OWN = {**CHECKS, "near": near}
FILE = """
name: a
inputs: {target: integer, share: number, word: text, numbers: integers}
steps:
  - reason: hello
    check: {name: near, arguments: {ARGUMENTS}}
"""


@pytest.mark.parametrize("arguments", ["target: 5", "target: 5.5", "target: '${target}'", "target: '${share}'"])
def test_a_caller_s_own_check(arguments: str) -> None:
    workflow = parse_workflow(FILE.replace("ARGUMENTS", arguments), "f", OWN)
    (step,) = workflow.steps
    assert isinstance(step, Reason)
    spec = step.check
    assert spec is not None
    assert run_check(spec, "6", {**VALUES, "target": 5}, OWN).ok is (arguments != "target: '${share}'")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("target: '${word}'", ".arguments.target: `${word}` is of type text; expected a number"),
        ("target: '${numbers}'", ".arguments.target: `${numbers}` is of type integers; expected a number"),
        ("target: '${target} '", ".arguments.target: the text '${target} '; expected a number"),
        ("target: true", ".arguments.target: true; expected a number"),
        ("target: [1]", ".arguments.target: [1]; expected a number"),
        ("target: '${tarjet}'", ".arguments.target: `${tarjet}` refers to nothing, did you mean target?"),
        ("within: 1", ": the argument `target` is missing; near needs it, a number"),
        ("target: 1, answer: '5'", ".arguments.answer: unknown argument; near takes target, within"),
    ],
)
def test_a_misuse_of_a_caller_s_own_check(arguments: str, problem: str) -> None:
    with pytest.raises(WorkflowError) as caught:
        parse_workflow(FILE.replace("ARGUMENTS", arguments), "f", OWN)
    assert str(caught.value).startswith(f"f:6 $.steps[0].check{problem}")


def odd(answer: str, *, when: set[int]) -> Checked:
    return Checked(bool(when), answer)


def broad(answer: str, *, when: int | str) -> Checked:
    return Checked(bool(when), answer)


@pytest.mark.parametrize("check", [odd, broad])
def test_a_check_that_no_file_can_use(check: Check) -> None:
    with pytest.raises(UsageError, match="check near: a file cannot give `when`; its type must be one of bool, int"):
        parse_workflow(FILE.replace("ARGUMENTS", "when: 5"), "f", {"near": check})


def test_a_caller_s_own_check_is_unknown_to_others() -> None:
    with pytest.raises(WorkflowError, match="no check is named 'near'"):
        parse_workflow(FILE.replace("ARGUMENTS", "target: 5"), "f")
