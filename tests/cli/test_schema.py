"""`apr schema` prints the schema that is in the folder of the language, and it is one that tools can use."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from apr_agents.cli import main

ROOT = Path(__file__).parents[2]


def test_it_is_the_one_in_the_folder_and_validates_files() -> None:
    result = CliRunner().invoke(main, ["schema"])
    assert result.exit_code == 0
    assert result.stdout == (ROOT / "dsl" / "workflow.schema.json").read_text()
    validator = Draft202012Validator(json.loads(result.stdout))
    validator.validate(yaml.safe_load((ROOT / "examples" / "countdown.yaml").read_text()))
    assert not validator.is_valid({"name": "a"})
