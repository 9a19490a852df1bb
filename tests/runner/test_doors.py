"""The doors: `run` is `stream` drained; leaving ends at once; what the caller raises comes out as itself."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import anyio
import pytest

from apr_agents.dialects import load_dialect
from apr_agents.engines.base import EngineInfo, Message
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.errors import DialectError
from apr_agents.runner import Budget, Function, JoinRule, Settings, run, stream
from apr_agents.runner.progress import Ended, Forked, Generated, Noted, Synthesis
from apr_agents.runner.run import LiveRun, messages
from tests.support.scripts import QUESTION, THREADWEAVER, block, check, closed, slow

SCRIPT = {"": [block("a", "b"), "the end"], "1.1": slow("one", 2), "1.2": slow("two", 1)}


async def test_progress_tells_the_whole_run() -> None:
    engine = ScriptedEngine(SCRIPT, THREADWEAVER)
    async with stream(engine, QUESTION, Settings(THREADWEAVER)) as live:
        told = [progress async for progress in live]
    result = live.result()
    check(result, engine)
    generated = [one for one in told if isinstance(one, Generated)]
    assert "".join(one.text for one in generated if not one.path) == f"{block('a', 'b')}the end"
    assert "".join(one.text for one in generated if one.path == "1.2") == "two</Thread>"
    (forked,) = (one for one in told if isinstance(one, Forked))
    assert [outline.text for outline in forked.outlines] == ["a", "b"]
    ended = [(one.branch.path, one.tokens, one.seconds) for one in told if isinstance(one, Ended)]
    assert ended == [("1.2", 2, 1.0), ("1.1", 2, 2.0)]
    assert [one.joined for one in told if isinstance(one, Synthesis)] == [("1.1", "1.2")]
    assert not any(isinstance(one, Noted) for one in told)


async def test_run_is_stream_drained() -> None:
    async with stream(ScriptedEngine(SCRIPT, THREADWEAVER), QUESTION, Settings(THREADWEAVER)) as live:
        async for _ in live:
            pass
    result = await run(ScriptedEngine(SCRIPT, THREADWEAVER), QUESTION, Settings(THREADWEAVER))
    streamed = live.result()
    assert result.trace.spans == streamed.trace.spans
    assert (result.text, result.answer, result.ended) == (streamed.text, streamed.answer, streamed.ended)


@pytest.mark.parametrize("slow_path", ["", "1.1"])
async def test_leaving_after_the_first_event_ends_at_once(slow_path: str) -> None:
    script = (
        {**SCRIPT, slow_path: Reply("word " * 100, token_seconds=999)}
        if slow_path
        else {"": Reply("word " * 100, token_seconds=999)}
    )
    engine = ScriptedEngine(script, THREADWEAVER)
    async with stream(engine, QUESTION, Settings(THREADWEAVER, budget=Budget(seconds=10_000))) as live:
        async for progress in live:
            if not slow_path or isinstance(progress, Forked):
                break
    left = engine.clock.now()
    assert left < 2 * 999
    result = live.result()
    check(result, engine)
    assert result.ended == "cancelled"
    assert result.trace.wall == left
    await engine.clock.sleep_until(left + 50)
    assert live.result().trace.wall == left


class CallersError(Exception):
    pass


async def _raise_in(lives: list[LiveRun], engine: ScriptedEngine, error: BaseException, events: int) -> None:
    """Raise this inside the block of a stream, behind so many of its events."""
    async with stream(engine, QUESTION, Settings(THREADWEAVER)) as live:
        lives.append(live)
        for _ in range(events):
            await anext(aiter(live))
        raise error


@pytest.mark.parametrize("error", [CallersError("mine"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("events", [0, 1, 12])
async def test_what_the_caller_raises_comes_out_as_itself(error: BaseException, events: int) -> None:
    engine, lives = ScriptedEngine(SCRIPT, THREADWEAVER), list[LiveRun]()
    with pytest.raises(type(error)) as raised:
        await _raise_in(lives, engine, error, events)
    assert raised.value is error
    result = lives[0].result()
    check(result, engine)
    assert (result.ended, bool(engine.requests)) == ("cancelled", events > 0)


async def test_a_fault_of_the_library_comes_out_as_itself() -> None:
    class Broken(ScriptedEngine):
        def encode(self, text: str, *, control: bool) -> tuple[int, ...]:
            if control:
                raise ZeroDivisionError
            return super().encode(text, control=control)

    with pytest.raises(ZeroDivisionError):
        await run(Broken(SCRIPT, THREADWEAVER), QUESTION, Settings(THREADWEAVER))


async def test_the_result_can_be_had_at_any_time() -> None:
    engine = ScriptedEngine(SCRIPT, THREADWEAVER)
    lengths: list[int] = []
    async with stream(engine, QUESTION, Settings(THREADWEAVER)) as live:
        assert live.result().text == ""
        async for _ in live:
            result = live.result()
            assert type(result.trace).load(result.trace.dump()) == result.trace
            lengths.append(len(result.text))
    assert lengths == sorted(lengths)
    assert live.result().ok


async def test_a_cancelled_caller_finds_the_result() -> None:
    engine = ScriptedEngine({"": Reply("word " * 100, token_seconds=1)}, THREADWEAVER)
    live = None
    with anyio.CancelScope() as scope:
        async with stream(engine, QUESTION, Settings(THREADWEAVER)) as live:
            await engine.clock.sleep_until(4.5)
            scope.cancel()
            await anyio.sleep_forever()
    assert live is not None
    assert live.result().text == "word " * 2


async def test_many_runs_share_one_engine() -> None:
    engine = ScriptedEngine(lambda request: "so it is", THREADWEAVER)
    answers: list[str] = []

    async def one() -> None:
        answers.append((await run(engine, QUESTION, Settings(THREADWEAVER))).answer)

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(one)
    assert answers == ["so it is"] * 50
    assert len({request.run_id for request in engine.requests}) == 50


def test_a_model_is_told_of_a_dialect_that_it_was_not_trained_on() -> None:
    asked = (Message("user", "Q"),)
    teach = THREADWEAVER.teach
    assert teach
    trained, untrained = ("threadweaver",), ("npr",)
    assert messages(asked, Settings(THREADWEAVER), trained) == asked
    assert messages(asked, Settings(THREADWEAVER), untrained) == (Message("system", teach), *asked)
    functions = {"f": Function("f", lambda: 1, "Says one.")}
    (told, _) = messages(asked, Settings(THREADWEAVER, functions=functions), trained)
    assert told.content.endswith("@f {} Says one.")
    (both, _) = messages(asked, Settings(THREADWEAVER, functions=functions), untrained)
    assert both.content == f"{teach}\n\n{told.content}"
    sequential = Settings(THREADWEAVER, mode="sequential", functions=functions)
    assert messages(asked, sequential, untrained) == asked


async def test_an_untrained_engine_gets_the_teaching_in_its_prompt() -> None:
    class Untrained(ScriptedEngine):
        @property
        def info(self) -> EngineInfo:
            return replace(super().info, dialects=())

    engine = Untrained({"": "so"}, THREADWEAVER)
    await run(engine, [Message("user", "Q"), Message("assistant", "A"), Message("user", "R")], Settings(THREADWEAVER))
    assert engine.requests[0].context.text == f"{THREADWEAVER.teach}\nQ\nA\nR\n"


@pytest.mark.parametrize("name", ["apr", "asyncthink"])
def test_a_dialect_that_cannot_run_yet_is_refused(name: str) -> None:
    with pytest.raises(DialectError, match=f"dialect {name} can be looked at, but not run yet"):
        Settings(load_dialect(name))
    Settings(load_dialect(name), mode="sequential")


@pytest.mark.parametrize(
    ("mode", "given", "seen"),
    [
        ("adaptive", None, {}),
        ("sequential", None, {"mode": "sequential"}),
        ("adaptive", "deep", {"mode": "deep"}),
        ("sequential", "deep", {"mode": "deep"}),
    ],
)
def test_the_template_sees_the_mode(mode: str, given: str | None, seen: dict[str, str]) -> None:
    settings = Settings(THREADWEAVER, mode="adaptive" if mode == "adaptive" else "sequential", template_mode=given)
    assert settings.variables == seen


async def test_thoughts_before_the_answer_are_not_the_answer() -> None:
    script = {"": [f"<think>hm {block('a')}", "and so</think>\n 42 "], "1.1": closed(" x")}
    result = await run(ScriptedEngine(script, THREADWEAVER), QUESTION, Settings(THREADWEAVER, join=JoinRule()))
    assert result.answer == "42"


def test_the_package_loads_no_engine_and_connects_to_nothing() -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*args, **kwargs): raise AssertionError('a socket')\n"
        "socket.socket.connect = refuse\n"
        "import apr_agents\n"
        "print([name for name in ('xllamacpp', 'langgraph', 'litellm', 'aiohttp', 'pydantic', 'jinja2')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
