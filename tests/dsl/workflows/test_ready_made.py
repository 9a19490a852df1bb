"""The ready-made workflows: their files, their Python functions, and what the package carries, are the same."""

from pathlib import Path

import pytest

from apr_agents.dsl import workflows
from apr_agents.dsl.builtins import BUILTINS
from apr_agents.dsl.workflows import WORKFLOWS
from apr_agents.dsl.yaml import load_workflow

SHOWN = Path(__file__).parents[3] / "dsl" / "workflows"
CARRIED = Path(workflows.__file__).parent
NAMES = sorted(WORKFLOWS)


def test_there_are_the_files_and_no_others() -> None:
    for folder in (SHOWN, CARRIED):
        assert sorted(file.stem for file in folder.glob("*.yaml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_file_and_function_are_one_workflow(name: str) -> None:
    file = SHOWN / f"{name}.yaml"
    assert load_workflow(file, functions=BUILTINS) == WORKFLOWS[name].workflow
    assert file.read_bytes() == (CARRIED / file.name).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_each_says_how_to_run_it_and_who_does_what(name: str) -> None:
    text = (SHOWN / f"{name}.yaml").read_text()
    assert f"apr run dsl/workflows/{name}.yaml --input" in text
    assert "# the model" in text
