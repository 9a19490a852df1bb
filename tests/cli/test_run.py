"""`apr run` as its users meet it: answers, refusals, exit statuses, Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from apr_agents import Trace
from apr_agents.cli import main
from apr_agents.report.schema import run_schema
from tests.support.random_gguf import RandomModel, write

COUNTDOWN = str(Path(__file__).parents[2] / "examples" / "countdown.yaml")
FOUR = ["--input", "numbers=26 45 27 21", "--input", "target=18"]
THREE = ["--input", "numbers=3 5 7", "--input", "target=22"]


def apr(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["run", *arguments])


def apr_json(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = apr(*arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


def test_four_numbers_are_forked_and_the_answer_is_checked() -> None:
    status, said = apr_json(COUNTDOWN, *FOUR)
    assert status == 0
    assert said["ended"] == "answered"
    assert said["verdict"]["ok"]
    assert said["report"]["forks"]
    assert said["report"]["tokens"]["critical"] < said["report"]["tokens"]["generated"]
    assert said["text"].count("<Thread>") == sum(len(fork["branches"]) for fork in said["report"]["forks"])


def test_three_numbers_are_not_and_the_run_says_so() -> None:
    status, said = apr_json(COUNTDOWN, *THREE)
    assert status == 0
    assert said["report"]["forks"] == []
    assert any("opened no block" in note for note in said["notes"])


@pytest.mark.parametrize("arguments", [FOUR, THREE, [*FOUR, "--mode", "sequential"]])
def test_the_object_is_of_its_schema(arguments: list[str]) -> None:
    _, said = apr_json(COUNTDOWN, *arguments)
    jsonschema.validate(said, run_schema())


def test_sequential_decodes_the_same_model_without_a_fork() -> None:
    status, said = apr_json(COUNTDOWN, *FOUR, "--mode", "sequential")
    assert status == 0
    assert "<Parallel>" not in said["text"]
    assert said["report"]["tokens"]["critical"] == said["report"]["tokens"]["generated"]


def test_people_read_question_answer_check_and_account() -> None:
    result = apr(COUNTDOWN, *FOUR)
    assert result.exit_code == 0
    for word in ("Numbers: 26 45 27 21 Target: 18", "right", "critical path", "η", "residual"):
        assert word in result.stdout
    assert "fork 1:" in result.stderr


def test_a_wrong_answer_is_said_to_be_wrong(tmp_path: Path) -> None:
    """The check has another target than the question."""
    workflow = tmp_path / "wrong.yaml"
    text = Path(COUNTDOWN).read_text().replace("target: ${target}", "target: 99")
    assert "target: 99" in text
    workflow.write_text(text)
    result = apr(str(workflow), *FOUR)
    assert result.exit_code == 1
    assert "wrong" in result.stdout
    status, said = apr_json(str(workflow), *FOUR)
    assert status == 1
    assert said["ended"] == "answered"
    assert not said["verdict"]["ok"]


def test_a_run_that_ends_early_prints_what_there_is(tmp_path: Path) -> None:
    workflow = tmp_path / "short.yaml"
    workflow.write_text(Path(COUNTDOWN).read_text().replace("seconds: 120", "tokens: 20"))
    status, said = apr_json(str(workflow), *FOUR)
    assert status == 1
    assert said["ended"] == "tokens"
    assert said["error"]
    assert said["text"]
    assert said["report"]["tokens"]["generated"] == 20


REFUSED = {
    "no such file": (["none.yaml"], "none.yaml: No such file"),
    "missing input": ([COUNTDOWN, "--input", "target=3"], "numbers"),
    "unknown input": ([COUNTDOWN, *FOUR, "--input", "colour=red"], "colour"),
    "input out of bounds": ([COUNTDOWN, "--input", "numbers=1 2 3", "--input", "target=101"], "100"),
    "what the model cannot read": ([COUNTDOWN, "--input", "numbers=1 2 x", "--input", "target=3"], "numbers"),
    "unknown engine": ([COUNTDOWN, *FOUR, "--engine", "steam"], "embedded"),
    "unknown option": ([COUNTDOWN, *FOUR, "--engine-option", "colour=red"], "threads"),
    "option without value": ([COUNTDOWN, *FOUR, "--engine-option", "threads"], "KEY=VALUE"),
    "no such model": ([COUNTDOWN, *FOUR, "--engine", "embedded:none.gguf"], "none.gguf"),
    "foreign file": ([COUNTDOWN, *FOUR, "--engine", f"embedded:{COUNTDOWN}"], "countdown.yaml"),
    "no such functions": ([COUNTDOWN, *FOUR, "--functions", "none.py"], "none.py"),
}


@pytest.mark.parametrize(("arguments", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_usage_gets_one_clear_line(arguments: list[str], named: str) -> None:
    result = apr(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert named in result.stderr


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    """Without branches: which of them share a batch is a matter of time, and with it the last bit of a sum."""
    workflow = tmp_path / "warm.yaml"
    workflow.write_text(
        "name: warm\nengine: embedded\nsteps: [{reason: 'Numbers: 26 45 27 21 Target: 18',"
        " sampling: {temperature: 1.5, max_tokens: 200}}]\n"
    )
    texts = [apr_json(str(workflow), "--seed", seed, "--mode", "sequential")[1]["text"] for seed in ("7", "7", "8")]
    assert texts[0] == texts[1] != texts[2]


def test_a_trace_is_stored_and_reported(tmp_path: Path) -> None:
    trace = tmp_path / "run.json"
    assert apr(COUNTDOWN, *FOUR, "--trace", str(trace)).exit_code == 0
    stored = CliRunner().invoke(main, ["report", str(trace), "--json"])
    assert stored.exit_code == 0
    assert json.loads(stored.stdout)["run_id"] == Trace.read(trace).run_id


def test_ctrl_c_saves_the_trace_and_exits_130(tmp_path: Path) -> None:
    """A random model never ends by itself; the signal comes once it has begun, also where a shell had it ignored."""
    model = write(tmp_path / "random.gguf", RandomModel(context=32_768))
    workflow, trace = tmp_path / "long.yaml", tmp_path / "run.json"
    workflow.write_text("name: long\nsteps: [{reason: and then}]\n")
    command = [sys.executable, "-m", "apr_agents", "run", str(workflow), "--engine", f"embedded:{model}"]
    with subprocess.Popen(
        [*command, "--trace", str(trace)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stderr is not None
        assert "first token" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in out
    assert Trace.read(trace).ended == "interrupted"
