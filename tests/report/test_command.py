"""`apr report`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from apr_agents.cli.report import command
from apr_agents.report.json import to_json
from apr_agents.report.svg import svg
from apr_agents.report.text import plain
from tests.report.examples import report, two_blocks


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    file = tmp_path / "run.json"
    file.write_text(two_blocks().dump(), encoding="utf-8")
    return file


def apr_report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_it_prints_the_report(trace: Path) -> None:
    found = apr_report(trace, "--width", "100")
    assert (found.exit_code, found.stderr) == (0, "")
    assert [line.rstrip() for line in found.stdout.splitlines()] == plain(report(), 100).splitlines()


def test_json_is_one_object(trace: Path) -> None:
    found = apr_report(trace, "--json")
    assert found.exit_code == 0
    assert json.loads(found.stdout) == json.loads(json.dumps(to_json(report())))


def test_svg_is_written_in_place_of_text(trace: Path, tmp_path: Path) -> None:
    found = apr_report(trace, "--svg", tmp_path / "run.svg")
    assert (found.exit_code, found.stdout) == (0, "")
    assert (tmp_path / "run.svg").read_text(encoding="utf-8") == svg(report())


def test_what_cannot_be_read_or_written_is_one_line_and_exit_2(trace: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"answer": 42}')
    refused = {
        f"apr: {tmp_path / 'gone.json'}: No such file or directory": (tmp_path / "gone.json",),
        f"apr: {tmp_path}: Is a directory": (tmp_path,),
        f"apr: {tmp_path / 'other.json'}: not a trace: run_id: Field required": (tmp_path / "other.json",),
        f"apr: {tmp_path / 'no' / 'run.svg'}: No such file or directory": (trace, "--svg", tmp_path / "no" / "run.svg"),
    }
    for message, arguments in refused.items():
        found = apr_report(*arguments)
        assert (found.exit_code, found.stdout, found.stderr) == (2, "", message + "\n")


def test_a_width_beyond_its_bounds_is_refused(trace: Path) -> None:
    assert apr_report(trace, "--width", "79").exit_code == 2
