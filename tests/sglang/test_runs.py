"""Whole runs on a real server: the same as in the process, and the prefix is reused by the server's own count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from apr_agents import RunResult, Settings, Trace, account, load_dialect, open_engine, run
from apr_agents.cli import main
from tests.sglang.questions import FOUR_NUMBERS, THREE_NUMBERS
from tests.sglang.scripting import TOKENIZER, forget, scripted_engine

pytestmark = [pytest.mark.sglang, pytest.mark.enable_socket, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
COUNTDOWN = str(ROOT / "examples" / "countdown.yaml")
DEMO = ["--input", "numbers=26 45 27 21", "--input", "target=18"]
DIALECT = load_dialect("threadweaver")
QUESTIONS = (*FOUR_NUMBERS, *THREE_NUMBERS)
BRANCHES = 8


def apr_run(engine: str) -> dict[str, Any]:
    result = CliRunner().invoke(main, ["run", COUNTDOWN, *DEMO, "--engine", engine, "--json"])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def embedded() -> dict[str, Any]:
    """The demo's run in the process."""
    return apr_run("embedded")


def check_demo(said: dict[str, Any], embedded: dict[str, Any]) -> None:
    """The demo is solved, with every figure that the embedded engine gives, and the prefix is reused."""
    report, expected = said["report"], embedded["report"]
    assert said["verdict"]["ok"]
    assert said["text"] == embedded["text"]
    for same in ("generated", "critical", "prompt", "reusable", "join_prefill"):
        assert report["tokens"][same] == expected["tokens"][same], same
    assert [len(fork["branches"]) for fork in report["forks"]] == [len(fork["branches"]) for fork in expected["forks"]]
    assert report["missing"] == expected["missing"]
    tokens = report["tokens"]
    assert tokens["reused_of"] == tokens["reusable"]
    assert tokens["reused"] >= 0.99 * tokens["reused_of"]


def test_the_demo_is_the_same_run(url: str, embedded: dict[str, Any]) -> None:
    forget(url)
    check_demo(apr_run(f"sglang:{url}"), embedded)


def test_behind_a_router_too(manual_url: str, worker_urls: list[str], embedded: dict[str, Any]) -> None:
    for worker in worker_urls:
        forget(worker)
    check_demo(apr_run(f"sglang:{manual_url}"), embedded)


def test_behind_a_router_that_goes_by_the_text_it_is_the_same_answer(
    cache_aware_url: str, embedded: dict[str, Any]
) -> None:
    assert apr_run(f"sglang:{cache_aware_url}")["text"] == embedded["text"]


async def test_a_branch_evaluates_its_header_and_its_parents_last_token(url: str, processor: str) -> None:
    """What a sibling that was evaluated first has in common with it, the beginning of its header, may be cached too."""
    result = await forked(url, processor, BRANCHES)
    branches = [span for span in result.trace.spans if span.path]
    assert len(branches) == BRANCHES
    for number, span in enumerate(branches, 1):
        assert span.tokens is not None
        assert span.tokens.cached is not None
        header = len(TOKENIZER.encode(DIALECT.branch_header.replace("{n}", str(number)), control=True))
        assert 0 <= span.tokens.cached - (span.tokens.prompt - header - 1) < header
        assert span.tokens.reusable == span.tokens.prompt - header - 1


async def test_a_join_evaluates_what_follows_branch_1(url: str, processor: str) -> None:
    result = await forked(url, processor, BRANCHES)
    synthesis = result.trace.spans[-1].tokens
    assert synthesis is not None
    assert synthesis.cached == synthesis.reusable
    first = next(span.tokens for span in result.trace.spans if span.path == "1.1")
    assert first is not None
    assert synthesis.cached == first.prompt + first.generated - 1
    report = account(result.trace)
    assert report.tokens.reused == report.tokens.reused_of == report.tokens.reusable


async def forked(url: str, processor: str, branches: int) -> RunResult:
    """A run that a server says by script: a block of so many branches, of different lengths."""
    forget(url)
    numbers = range(1, branches + 1)
    outlines = "".join(f"<Outline>{number}: {number} + 4</Outline>\n" for number in numbers)
    texts = {f"1.{number}": [f" {number} + 4 = {number + 4}" * number + "</Thread>"] for number in numbers}
    texts[""] = [f"\n<Parallel>\n<Outlines>\n{outlines}</Outlines>", " answer: 3 + 4 = 7"]
    async with scripted_engine(url, processor, texts) as engine:
        result = await run(engine, f"Numbers: {branches} 4 Target: 7", Settings(DIALECT))
    assert (result.ended, result.answer) == ("answered", "answer: 3 + 4 = 7"), result.detail
    Trace.load(result.trace.dump())
    return result


async def test_how_many_texts_are_the_same_as_in_the_process(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Two engines sum the same floats in another order, so a near tie may fall differently: counted, bounded below."""
    texts: list[list[str]] = []
    for spec in (f"sglang:{url}", "embedded"):
        async with open_engine(spec) as engine:
            runs = [await run(engine, question, Settings(DIALECT)) for question in QUESTIONS]
        assert [one.ended for one in runs] == ["answered"] * len(QUESTIONS)
        texts.append([one.text for one in runs])
    same = sum(ours == theirs for ours, theirs in zip(*texts, strict=True))
    with capsys.disabled():
        print(f"\nthe same text on both engines: {same} of {len(QUESTIONS)} runs")
    assert same >= len(QUESTIONS) // 2
