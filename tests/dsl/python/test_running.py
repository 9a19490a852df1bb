"""Decorated workflows run: with functions of the program, on an engine that is open, or one that is opened for them."""

import pytest

from apr_agents.dsl.decorators import (
    JoinSpec,
    Reference,
    Texts,
    Traced,
    branch,
    call,
    fork,
    generate,
    map,
    score,
    select,
    workflow,
)
from apr_agents.engines.scripted import ScriptedEngine
from apr_agents.errors import UsageError, WorkflowError
from apr_agents.runner import Function
from tests.support.scripts import THREADWEAVER


@branch
def shout(text: str) -> str:
    """A plain function."""
    return text.upper()


@branch
async def length(item: str) -> int:
    """A coroutine."""
    return len(item)


@workflow
def longest(questions: Texts) -> Traced:
    """Asks all questions at once, and shouts the longest answer."""

    @branch
    def ask(question: Reference) -> Traced:
        yield generate(f"Q: {question}")

    answers = yield map(questions, ask, as_="answers")
    lengths = yield score(answers, by=length, as_="lengths")
    best = yield select(answers, by="best", scores=lengths, as_="best")
    yield shout(best)


async def test_functions_of_the_program_are_called() -> None:
    async with ScriptedEngine({"1.1": "short", "1.2": "a long one", "1.3": "mid"}, THREADWEAVER) as engine:
        answered = await longest.run(engine, questions=["a", "b", "c"])
    assert answered.ok
    assert answered.value == "A LONG ONE"
    assert [request.context.text for request in engine.requests] == ["Q: a\n", "Q: b\n", "Q: c\n"]


async def test_named_branches_have_names_in_the_value() -> None:
    @workflow
    def both(question: str) -> Traced:
        @branch
        def pro() -> Traced:
            yield generate(f"For: {question}")

        @branch
        def contra() -> Traced:
            yield generate(f"Against: {question}")

        found = yield fork({"pro": pro, "contra": contra}, join=JoinSpec("all"), as_="found")
        return {"for": found["pro"], "against": found["contra"]}

    async with ScriptedEngine({"1.1": "yes", "1.2": "no"}, THREADWEAVER) as engine:
        answered = await both.run(engine, question="?")
    assert answered.value == {"for": "yes", "against": "no"}


async def test_a_function_given_at_the_run_is_called_by_its_name() -> None:
    @workflow
    def late(word: str) -> Traced:
        yield call("theirs", word=word)

    async def theirs(word: str) -> str:
        return f"{word}!"

    async with ScriptedEngine({}, THREADWEAVER) as engine:
        assert (await late.run(engine, functions={"theirs": Function.of(theirs)}, word="a")).value == "a!"
        with pytest.raises(UsageError, match="the workflow calls theirs"):
            await late.run(engine, word="a")


def test_without_an_event_loop_and_on_an_engine_of_its_own() -> None:
    @workflow(engine="embedded")
    def flat(lists: Texts) -> Traced:
        yield call("flatten", items=[lists, "c"])

    answered = flat.run_sync(lists=["a", "b"])
    assert answered.value == ["a", "b", "c"]
    with pytest.raises(WorkflowError, match="input lists: missing"):
        flat.run_sync()
