"""Whatever a reader may copy works: the README's programs, commands and files."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from apr_agents.dsl.yaml import parse_workflow

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert found, f"the README has no {language} block"
    return found


@pytest.mark.parametrize("program", blocks("python"), ids=lambda text: text.splitlines()[0][:40])
def test_python_runs(program: str, tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(program)
    done = subprocess.run([sys.executable, str(file)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("workflow", blocks("yaml"), ids=lambda text: text.splitlines()[0][:40])
def test_workflows_load(workflow: str) -> None:
    assert parse_workflow(workflow, "README.md").name


def commands() -> list[str]:
    lines = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ apr ")]
    assert lines
    return lines


@pytest.mark.parametrize("command", commands())
def test_commands_work(command: str, tmp_path: Path) -> None:
    """In the README's order each command finds what the ones before it wrote; here each runs by itself."""
    arguments = shlex.split(command)[1:]
    if arguments[0] == "report":
        trace = tmp_path / "run.json"
        run = ["run", str(ROOT / "examples/countdown.yaml"), "--input", "numbers=3 5 7", "--input", "target=22"]
        assert apr([*run, "--trace", str(trace)], tmp_path) == 0
        arguments[1] = str(trace)
    for folder in ("examples/", "dsl/"):
        arguments = [argument.replace(folder, f"{ROOT}/{folder}") for argument in arguments]
    assert apr(arguments, tmp_path) == 0


def apr(arguments: list[str], folder: Path) -> int:
    done = subprocess.run([sys.executable, "-m", "apr_agents", *arguments], cwd=folder, check=False)
    return done.returncode


def test_links_between_files_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("*/README.md")]:
        prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"
