"""Each file in tests/data/invalid gets exactly the refusal that its first lines say."""

from __future__ import annotations

from pathlib import Path

import pytest

from apr_agents.dsl.yaml import load_workflow
from apr_agents.errors import WorkflowError

FOLDER = Path(__file__).parent.parent / "data" / "invalid"
FILES = sorted(FOLDER.glob("*.yaml"))
MARK = b"# expect "


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_refused_as_its_first_lines_say(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    expected = [line.removeprefix(MARK).decode() for line in file.read_bytes().splitlines() if line.startswith(MARK)]
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


def test_an_endless_file_is_read_no_further_than_its_bound() -> None:
    with pytest.raises(WorkflowError, match="more than 262144 bytes"):
        load_workflow(Path("/dev/zero"))
