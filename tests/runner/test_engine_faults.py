"""Engines that keep no rules: the run ends as failed, says what they did, and keeps the text that came before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from apr_agents.context import Context
from apr_agents.dialects import load_dialect
from apr_agents.engines.base import Chunk, Finish, Message, Request, Usage
from apr_agents.engines.scripted import Reply
from apr_agents.errors import ContextFull, EngineError
from tests.support.scripts import THREADWEAVER, Said, ScriptedEngine, UnrulyEngine, block, closed, generated, ran

Case = Callable[[UnrulyEngine], Sequence[Said]]

CODE = load_dialect("threadweaver-code")


def _finish(reason: str = "stop", matched: str | None = None, generated: int = 1) -> Finish:
    return Finish("length" if reason == "length" else "stop", matched, Usage(1, 0, generated))


CASES: dict[str, tuple[Case, str, str]] = {
    "raises at once": (lambda e: [KeyError("k")], "", "the engine failed: KeyError: 'k'"),
    "raises in the middle": (
        lambda e: [Chunk("so ", (1,)), OSError("gone")],
        "so ",
        "the engine failed: OSError: gone",
    ),
    "raises its own error": (lambda e: [Chunk("so ", (1,)), EngineError("full")], "so ", "full"),
    "ends without a finish": (lambda e: [Chunk("so ", (1,))], "so ", "the engine's stream ended without a finish"),
    "says nothing at all": (lambda e: [], "", "the engine's stream ended without a finish"),
    "goes on behind the stop in a chunk": (
        lambda e: e.chunks(block("a", "b"), "\n", "<Thread>1: I too"),
        block("a", "b") + "\n",
        "the engine went on behind the stop '</Outlines>'",
    ),
    "goes on behind the stop in the same chunk": (
        lambda e: e.chunks(block("a", "b") + "\n<Thread>1: I too</Thread>"),
        block("a", "b") + "\n<Thread>1: I too</Thread>",
        "the engine went on behind the stop '</Outlines>'",
    ),
    "opens two blocks in one chunk": (
        lambda e: e.chunks(block("a") + "</Parallel>" + block("b"), stop="</Outlines>"),
        block("a") + "</Parallel>" + block("b"),
        "the engine went on behind the stop '</Outlines>'",
    ),
    "claims a stop that never came": (
        lambda e: e.chunks("so ", stop="</Outlines>"),
        "so ",
        "the engine stopped at '</Outlines>', which its text does not hold",
    ),
    "claims a stop that was not asked for": (
        lambda e: e.chunks("so ", stop="so"),
        "so ",
        "the engine stopped at 'so', which its text does not hold",
    ),
    "goes on past its limit": (
        lambda e: [Chunk("so ", tuple(range(50))), Chunk("more ", tuple(range(51))), Chunk("", (), _finish())],
        "so more ",
        "the engine went on past the 100 tokens it was given",
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_the_run_ends_as_failed_and_keeps_its_text(name: str) -> None:
    case, text, detail = CASES[name]
    engine = UnrulyEngine(lambda request: case(engine))
    done = await ran(engine, max_tokens=100)
    assert (done.result.ended, done.result.detail) == ("failed", detail)
    assert done.result.text.startswith(text)
    assert len(done.result.text) <= len(text) + 1
    assert len(engine.requests) == 1
    assert [span.outcome for span in done.result.trace.spans] == ["done", "failed"]


async def test_a_branch_that_goes_on_behind_its_closing_tag_fails_alone() -> None:
    said: dict[str, tuple[str, ...]] = {
        "": (block("a", "b"), ""),
        "1.1": (" one</Thread>", "\n<Thread>2: forged</Thread>"),
        "1.2": (" two</Thread>", ""),
    }

    def say(request: Request) -> Sequence[Said]:
        if len(engine.requests) == 4:
            return engine.chunks("end")
        first, end = said[str(request.path)]
        return engine.chunks(first, end=end, stop="</Thread>" if request.path.depth else "</Outlines>")

    engine = UnrulyEngine(say)
    done = await ran(engine)
    assert [(one.branch.outcome, one.branch.detail) for one in done.result.outcomes] == [
        ("failed", "the engine went on behind the stop '</Thread>'"),
        ("done", ""),
    ]
    assert done.result.ended == "answered"


async def test_what_completes_the_token_of_a_stop_is_no_fault() -> None:
    def say(request: Request) -> Sequence[Said]:
        if len(engine.requests) == 1:
            return engine.chunks(block("a")[:-1], end="></", stop="</Outlines>")
        return engine.chunks(" x", end="</Thread>\n", stop="</Thread>") if request.path.depth else engine.chunks("end")

    engine = UnrulyEngine(say)
    done = await ran(engine)
    assert done.result.ended == "answered"
    assert done.result.text == block("a") + "</\n<Thread>1: x</Thread>\n\n</Parallel>\nend"


async def test_a_stop_in_the_last_token_that_was_granted_counts() -> None:
    def say(request: Request) -> Sequence[Said]:
        if len(engine.requests) == 1:
            return engine.chunks(block("a"), reason="length")
        return engine.chunks(closed(" x"), reason="length") if request.path.depth else engine.chunks("end")

    engine = UnrulyEngine(say)
    done = await ran(engine)
    assert (done.result.ended, done.result.outcomes[0].branch.outcome) == ("answered", "done")


async def test_failed_branches_are_outcomes_with_what_they_wrote() -> None:
    script = {
        "": [block("a", "b", "c", "d"), "all seen"],
        "1.1": Reply(" half a", error="lost the server"),
        "1.2": Reply("", error="no server"),
        "1.3": Reply(" also half", error="lost it too"),
        "1.4": closed(" whole"),
    }
    done = await ran(script)
    assert [(one.branch.outcome, one.branch.detail, one.text) for one in done.result.outcomes] == [
        ("failed", "lost the server", " half a</Thread>"),
        ("failed", "no server", " failed: no server</Thread>"),
        ("failed", "lost it too", " also half</Thread>"),
        ("done", "", " whole</Thread>"),
    ]
    assert done.asked[-1][1].endswith(
        "<Thread>1: half a</Thread>\n<Thread>2: failed: no server</Thread>\n"
        "<Thread>3: also half</Thread>\n<Thread>4: whole</Thread>\n</Parallel>\n"
    )
    assert done.result.ok


async def test_an_engine_that_cannot_make_the_prompt_is_a_failed_run() -> None:
    class NoTemplate(ScriptedEngine):
        def prompt(self, messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
            raise LookupError("no chat template")

    done = await ran(NoTemplate({}, THREADWEAVER))
    assert done.result.ended == "failed"
    assert done.result.detail == "the engine could not make the prompt: LookupError: no chat template"
    assert (done.result.text, done.result.answer) == ("", "")


async def test_an_engine_whose_cache_is_full_ends_the_run_at_its_window() -> None:
    engine = UnrulyEngine(lambda request: [ContextFull("no cell is left")])
    done = await ran(engine)
    assert (done.result.ended, done.result.detail) == ("context", "no cell is left")


async def test_an_engine_that_counts_too_little_is_charged_what_was_seen() -> None:
    engine = UnrulyEngine(lambda request: [Chunk("a b", (1, 2, 3), _finish(generated=0))])
    done = await ran(engine)
    assert generated(done.result.trace.spans) == 3


async def test_a_truncated_branch_ends_the_run_where_the_dialect_says_so() -> None:
    script = {"": [block("a", "b", dialect=CODE), "never"], "1.1": " cut", "1.2": closed(" whole")}
    done = await ran(script, dialect=CODE)
    assert (done.result.ended, done.result.detail) == ("truncated", "branch 1.1 ended without its closing tag")
    assert done.result.text.endswith("\n<Thread>\n1: cut</Thread><Thread>\n2: whole</Thread>\n")
    assert len(done.engine.requests) == 3
