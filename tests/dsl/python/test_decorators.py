"""The Python door: a decorated function and a file are the same value; what is no workflow is refused in one line."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest

from apr_agents.dsl.decorators import (
    BudgetSpec,
    Drafted,
    Input,
    Integers,
    JoinSpec,
    Reference,
    SamplingSpec,
    Texts,
    Traced,
    above,
    below,
    branch,
    call,
    check,
    either,
    empty,
    equals,
    every,
    fork,
    generate,
    holds,
    map,
    matches,
    opposite,
    reason,
    repeat,
    score,
    select,
    when,
    workflow,
)
from apr_agents.dsl.spec import Generate
from apr_agents.dsl.yaml import parse_workflow
from apr_agents.errors import UsageError, WorkflowError

EVERYTHING = """
name: everything
engine: embedded
dialect: threadweaver
budget: {depth: 3}
inputs:
  question: {type: text, max_length: 500}
  marks: texts
  numbers: {type: integers, default: [1, 2]}
  share: {type: number, default: 0.5}
  rounds: {type: integer, default: 3}
steps:
  - reason: ${question}
    mode: calls
    join: {rule: first, until: done}
    sampling: {temperature: 0.5, max_tokens: 100}
    functions: [look_up, theirs]
    answer: "answer:"
    check: {name: contains, arguments: {text: "${question}"}}
    outlines: [one, "${question}"]
    items: "[a-z]+"
    as: words
  - fork:
      left:
        - generate: "Left of ${words.0}"
      right:
        - call: look_up
          arguments: {query: "${question}", most: 2}
    join: {synthesis: "Both: ${branches}"}
    as: both
  - map: ${numbers}
    each: n
    steps:
      - call: look_up
        arguments: {query: "${n}"}
    limit: 5
    as: found
  - score: ${found}
    by: near
    arguments: {share: "${share}"}
    as: near
  - score: ${found}
    prompt: "How good is ${item}?"
    marker: "score:"
  - select: ${found}
    by: best
    scores: ${near}
    count: ${rounds}
    blank: keep
    as: kept
  - repeat:
      - when:
          all:
            - not: {empty: "${kept}"}
            - any:
                - {above: ["${share}", 0.1]}
                - {below: ["${kept.0}", 7]}
                - {matches: ["${last}", "^x"]}
        then:
          - generate: ${last}
            as: last
        else:
          - generate: Again
            as: last
    most: ${rounds}
    until: {check: contains, answer: "${last}", arguments: {text: x}}
    start: {last: "${both}"}
  - when: {equals: ["${last}", x]}
    then:
      - generate: ${last}
result: {last: "${last}", kept: ["${kept.0}"]}
check: {name: equals, arguments: {text: x}}
"""


@branch
def look_up(query: str, most: int = 1) -> str:
    """A function of the program."""
    return query * most


@branch
def near(item: str, share: float) -> float:
    return len(item) * share


Question = Annotated[str, Input("text", max_length=500)]


@workflow(
    engine="embedded",
    dialect="threadweaver",
    budget=BudgetSpec(depth=3),
    check=check("equals", text="x"),
)
def everything(
    question: Question,
    marks: Texts,
    numbers: Integers = [1, 2],  # noqa: B006  # read once, at decoration
    share: float = 0.5,
    rounds: int = 3,
) -> Traced:
    @branch
    def left() -> Traced:
        text = yield generate(f"Left of {words[0]}")
        return text

    @branch
    def right() -> Traced:
        yield look_up(question, most=2)

    @branch
    def again(last: Reference) -> Traced:
        def go_on() -> Traced:
            yield generate(last, as_="last")

        def anew() -> Traced:
            yield generate("Again", as_="last")

        wanted = either(above(share, 0.1), below(kept[0], 7), matches(last, "^x"))
        yield when(every(opposite(empty(kept)), wanted), go_on, anew)

    def repeated() -> Traced:
        yield generate(last)

    words = yield reason(
        question,
        mode="calls",
        join=JoinSpec("first", until="done"),
        sampling=SamplingSpec(temperature=0.5, max_tokens=100),
        functions=(look_up, "theirs"),
        answer="answer:",
        check=check("contains", text=question),
        outlines=["one", question],
        items="[a-z]+",
        as_="words",
    )
    yield fork({"left": left, "right": right}, join=JoinSpec(synthesis="Both: ${branches}"), as_="both")

    @branch
    def one(n: Reference) -> Traced:
        yield look_up(n)

    found = yield map(numbers, one, limit=5, as_="found")
    nearness = yield score(found, by=near, arguments={"share": share}, as_="near")
    yield score(found, prompt="How good is ${item}?", marker="score:")
    kept = yield select(found, by="best", scores=nearness, count=rounds, blank="keep", as_="kept")
    last = Reference("last")
    until = holds(check("contains", text="x"), last)
    yield repeat(again, most=rounds, until=until, start={"last": Reference("both")})
    yield when(equals(last, "x"), repeated)
    return {"last": last, "kept": [kept[0]]}


def test_a_decorated_function_is_the_same_value_as_its_file() -> None:
    assert everything.workflow == parse_workflow(EVERYTHING, "everything.yaml")


def test_its_own_file_gives_it_again() -> None:
    assert parse_workflow(everything.file(), "again.yaml") == everything.workflow


def test_the_functions_that_it_calls_come_with_it() -> None:
    assert set(everything.functions) == {"look_up", "near"}
    assert everything.functions["look_up"].call("ab", 2) == "abab"


def test_a_function_may_be_a_branch_by_itself() -> None:
    @workflow
    def searched(queries: Texts) -> Traced:
        yield map(queries, look_up_one)

    call_each = "{map: '${queries}', each: query, steps: [{call: look_up_one, arguments: {query: '${query}'}}]}"
    expected = f"name: searched\ninputs: {{queries: texts}}\nsteps:\n  - {call_each}\n"
    assert searched.workflow == parse_workflow(expected, "searched.yaml")


@branch
def look_up_one(query: str) -> str:
    return query


def test_steps_may_be_shared_by_yield_from() -> None:
    @branch
    def twice(text: Reference) -> Traced:
        yield generate(f"{text}!", as_="loud")
        yield generate("${loud}!")

    @workflow
    def loud(question: str) -> Traced:
        yield from twice(question)

    assert loud.workflow.steps == (Generate("${question}!", as_="loud"), Generate("${loud}!"))


INPUTS = "int, float, str, list[int], list[str] or an Input"


def unnamed(question: str) -> Traced:
    text = yield generate(question)
    yield generate(f"Again: {text}")


def decided(question: str) -> Traced:
    text = yield generate(question, as_="text")
    if text:
        yield generate("yes")


def no_step(question: str) -> Traced:
    yield question  # pyright: ignore[reportReturnType]


def nothing(question: str) -> Traced:
    steps: list[Drafted] = []
    yield from steps


def looped(question: str) -> Traced:
    found = yield generate(question, items="a", as_="found")
    for one in found:  # pyright: ignore[reportUnknownVariableType, reportGeneralTypeIssues]
        yield generate(f"{one}")


def untyped(question: Any) -> Traced:  # noqa: ANN401  # what is refused
    yield generate(question)


def returning(question: str) -> Traced:
    @branch
    def part() -> Traced:
        text = yield generate(question, as_="text")
        yield generate("more")
        return text

    yield map(3, part)


def of_two(question: str) -> Traced:
    @branch
    def part(one: Reference, two: Reference) -> Traced:
        yield generate(f"{one} {two} {question}")

    yield map(3, part)


@pytest.mark.parametrize(
    ("function", "kind", "what"),
    [
        (unnamed, UsageError, "a step's value is used and has no name; name it, as in generate(..., as_='text')"),
        (decided, UsageError, "Reference(name='text') has no value yet: the function is traced; decide with when(...)"),
        (no_step, UsageError, "no_step yields Reference; expected a step, such as generate(...)"),
        (nothing, UsageError, "nothing yields no step; expected at least one, such as generate(...)"),
        (looped, TypeError, "'Reference' object is not iterable"),
        (
            untyped,
            UsageError,
            f"untyped: the parameter `question` is no input; annotate it as {INPUTS}",
        ),
        (returning, UsageError, "part returns something else than its last step's value; return that, or nothing"),
        (of_two, UsageError, "map: the branch has the parameters one, two; expected one, the item, or none"),
    ],
)
def test_what_is_no_workflow_is_refused(function: Callable[..., Traced], kind: type[Exception], what: str) -> None:
    with pytest.raises(kind) as caught:
        workflow(function)
    assert str(caught.value) == what


def test_what_a_file_could_not_have_is_refused_as_in_a_file() -> None:
    def wrong(question: str) -> Traced:
        yield call("flatten", items="${answers}", as_="flat")
        yield generate("", sampling=SamplingSpec(temperature=-1.0))

    with pytest.raises(WorkflowError) as caught:
        workflow(wrong)
    assert all(line.startswith("@workflow wrong:") for line in str(caught.value).splitlines())
    assert "temperature" in str(caught.value)
