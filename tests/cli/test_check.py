"""`apr check` as its users meet it: every problem of every file, for people and as data; its exit statuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from apr_agents.cli import main
from apr_agents.cli.check import problem_in

ROOT = Path(__file__).parents[2]
INVALID = ROOT / "tests" / "data" / "invalid"
GOOD = "examples/countdown.yaml"
BAD = "tests/data/invalid/many-problems.yaml"


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


def expected(file: str) -> list[str]:
    """The lines that a file of the corpus says of itself."""
    lines = Path(file).read_text("utf-8").splitlines()
    return [file + line.removeprefix("# expect ") for line in lines if line.startswith("# expect ")]


def test_a_good_file_is_said_to_be_one() -> None:
    result = check(GOOD)
    assert (result.exit_code, result.stdout) == (0, f"{GOOD}: ok\n")


def test_ready_made_workflows_are_good() -> None:
    files = sorted(map(str, Path("dsl/workflows").glob("*.yaml")))
    result = check(*files)
    assert (result.exit_code, result.stdout.splitlines()) == (0, [f"{file}: ok" for file in files])
    assert len(files) >= 10


def test_all_problems_of_all_files_are_told_at_once() -> None:
    other = "tests/data/invalid/budget-zero.yaml"
    result = check(BAD, GOOD, other)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [*expected(BAD), f"{GOOD}: ok", *expected(other)]
    assert len(expected(BAD)) == 5


def test_the_same_as_data() -> None:
    result = check("--json", BAD, GOOD)
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert (said["ok"], [(one["file"], one["ok"]) for one in said["files"]]) == (False, [(BAD, False), (GOOD, True)])
    problems = [f"{BAD}:{one['line']} {one['path']}: {one['message']}" for one in said["files"][0]["problems"]]
    assert problems == expected(BAD)
    assert said["files"][1]["problems"] == []


@pytest.mark.parametrize("file", sorted(INVALID.glob("*.yaml")), ids=lambda file: file.stem)
def test_each_line_of_the_corpus_has_its_parts(file: Path) -> None:
    for line in file.read_bytes().splitlines():
        if line.startswith(b"# expect "):
            told = line.removeprefix(b"# expect ").decode()
            found = problem_in(f"a b.yaml{told}", "a b.yaml")
            place = f"{found.line}" if found.column is None else f"{found.line}:{found.column}"
            assert f":{place} {found.path}: {found.message}" == told
            assert found.message


def test_a_file_that_cannot_be_read_is_bad_usage_and_the_others_are_checked() -> None:
    result = check("absent.yaml", BAD)
    assert result.exit_code == 2
    assert result.stdout.splitlines()[0] == "absent.yaml: No such file or directory; expected a workflow file"
    assert result.stdout.splitlines()[1:] == expected(BAD)
    (problem,) = json.loads(check("--json", "absent.yaml").stdout)["files"][0]["problems"]
    assert problem == {
        "line": None,
        "column": None,
        "path": None,
        "message": "No such file or directory; expected a workflow file",
    }


CALLS = """
name: a
steps:
  - call: parts
    arguments: {items: [1, 2], size: 1}
  - call: double
    arguments: {number: 2}
"""


def test_functions_are_those_of_the_language_and_those_given(tmp_path: Path) -> None:
    file, functions = tmp_path / "calls.yaml", tmp_path / "functions.py"
    file.write_text(CALLS)
    functions.write_text("def double(number: int) -> int:\n    return 2 * number\n")
    assert check(str(file), "--functions", str(functions)).exit_code == 0
    refused = check(str(file))
    assert refused.exit_code == 1
    assert refused.stdout.startswith(f"{file}:6 $.steps[1].call: no function is named 'double'")


def test_functions_that_are_no_python_are_bad_usage(tmp_path: Path) -> None:
    functions = tmp_path / "functions.py"
    functions.write_text("def (:")
    result = check(GOOD, "--functions", str(functions))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"apr: {functions}: SyntaxError: ")


def test_no_file_is_bad_usage() -> None:
    assert check().exit_code == 2


def test_the_file_that_has_too_many_problems_ends_with_a_line_without_a_place(tmp_path: Path) -> None:
    file = tmp_path / "many.yaml"
    file.write_text("".join(f"k{number}: 1\n" for number in range(100)))
    said = json.loads(check("--json", str(file)).stdout)
    assert said["files"][0]["problems"][-1] == {
        "line": None,
        "column": None,
        "path": None,
        "message": "there are more problems than these",
    }


def test_nothing_that_runs_a_model_is_imported() -> None:
    heavy = "{'xllamacpp', 'aiohttp', 'litellm', 'langgraph', 'tokenizers'}"
    script = f"""
import sys
from apr_agents.cli import main
try:
    main(["check", "{GOOD}"])
except SystemExit as ended:
    print(ended.code, sorted({heavy} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{GOOD}: ok", "0 []"]
