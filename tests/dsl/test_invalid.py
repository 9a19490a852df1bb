"""Each file in tests/data/invalid gets exactly the refusal that its first lines say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from apr_agents.dsl.yaml import load_workflow
from apr_agents.errors import WorkflowError

FOLDER = Path(__file__).parent.parent / "data" / "invalid"
FILES = sorted(FOLDER.glob("*.yaml"))
MARK = b"# expect "


def marked(file: Path) -> list[bytes]:
    return [line.removeprefix(MARK) for line in file.read_bytes().splitlines() if line.startswith(MARK)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_refused_as_its_first_lines_say(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    expected = [line.decode() for line in marked(file)]
    assert expected
    with pytest.raises(WorkflowError) as caught:
        load_workflow(Path(file.name))
    assert list(caught.value.problems) == [file.name + line for line in expected]


def test_each_problem_is_one_printable_line_with_its_place() -> None:
    for file in FILES:
        with pytest.raises(WorkflowError) as caught:
            load_workflow(file)
        for problem in caught.value.problems:
            assert problem.isprintable()
            assert problem.startswith(f"{file}:")
            assert " $" in problem
            assert "; " in problem
            assert len(problem) < 600


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_file_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="expected a workflow file"):
        load_workflow(tmp_path / name)


WITHOUT_LIBYAML = """
import sys
sys.modules["yaml._yaml"] = None
import pathlib, yaml
from apr_agents.dsl.yaml import load_workflow
from apr_agents.errors import WorkflowError
assert not hasattr(yaml, "CSafeLoader")
for file in map(pathlib.Path, sys.argv[1:]):
    try:
        load_workflow(file)
    except WorkflowError as error:
        print(*error.problems, sep="\\n")
"""


def test_the_same_lines_are_refused_without_libyaml() -> None:
    command = [sys.executable, "-c", WITHOUT_LIBYAML, *(file.name for file in FILES)]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=True)  # noqa: S603
    found = [line.split(" ")[0].split(":")[:2] for line in done.stdout.splitlines()]
    expected = [[file.name, line.split(b":")[1].split(b" ")[0].decode()] for file in FILES for line in marked(file)]
    assert found == expected


def test_an_endless_file_is_read_no_further_than_its_bound() -> None:
    with pytest.raises(WorkflowError, match="larger than 262144 bytes"):
        load_workflow(Path("/dev/zero"))
