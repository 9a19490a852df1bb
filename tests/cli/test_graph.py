"""`apr graph`, and `apr run` of a file with many steps, as their users meet them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from apr_agents.cli import main

STEPS = """
name: two ways
inputs: {numbers: integers, target: integer}
steps:
  - map: 2
    steps:
      - generate: "Numbers: ${numbers} Target: ${target}"
        sampling: {max_tokens: 40}
    as: tried
  - when: {empty: "${tried}"}
    then: [{call: flatten, arguments: {items: []}, as: found}]
    else: [{call: count, arguments: {texts: "${tried}"}, as: found}]
result: ${found}
"""


@pytest.fixture
def workflow(tmp_path: Path) -> str:
    file = tmp_path / "steps.yaml"
    file.write_text(STEPS)
    (tmp_path / "mine.py").write_text("def count(texts: list) -> int:\n    return len(texts)\n")
    return str(file)


def test_a_graph_is_drawn(workflow: str) -> None:
    result = CliRunner().invoke(main, ["graph", workflow])
    assert result.exit_code == 0
    assert "graph TD;" in result.stdout.splitlines()
    for label in ("(1 map)", "(2 when)", "(2.then.1 call)", "(2.else.1 call)"):
        assert label in result.stdout


def test_a_bad_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("name: a\nsteps: [{generate: '${x}'}]\n")
    result = CliRunner().invoke(main, ["graph", str(file)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "`${x}` refers to nothing" in result.stderr


def test_a_file_with_many_steps_runs(workflow: str) -> None:
    functions = str(Path(workflow).parent / "mine.py")
    given = ["--input", "numbers=3 5 7", "--input", "target=22", "--functions", functions]
    result = CliRunner().invoke(main, ["run", workflow, *given])
    assert result.exit_code == 0, result.output
    assert "answer    2" in result.stdout
    assert "steps[0]: map" in result.stderr
    said = json.loads(CliRunner().invoke(main, ["run", workflow, *given, "--json"]).stdout)
    assert (said["answer"], said["ended"], len(said["report"]["forks"])) == ("2", "answered", 1)


def test_a_function_that_nobody_gives_is_named_before_anything_runs(workflow: str) -> None:
    result = CliRunner().invoke(main, ["run", workflow, "--input", "numbers=3", "--input", "target=3"])
    assert result.exit_code == 2
    assert "no function is named 'count'" in result.stderr
