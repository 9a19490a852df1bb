"""The README's commands for SGLang and LiteLLM do on a real server what it says of them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from apr_agents.cli import main
from tests.sglang.serve import SERVED, well_set

pytestmark = [pytest.mark.sglang, pytest.mark.enable_socket, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
WRITTEN = "http://127.0.0.1:30000"
"""Where the README has its server."""


def commands() -> list[list[str]]:
    """The words of each command in the README's `sh` blocks."""
    found = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    return [shlex.split(line) for block in found for line in block.replace("\\\n", " ").splitlines()]


USES = [words for words in commands() if words[0] == "apr"]


@pytest.mark.parametrize("words", USES, ids=[" ".join(words[1:])[-70:] for words in USES])
def test_it_works(words: list[str], url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert any(WRITTEN in word for word in words)
    done = CliRunner().invoke(main, [word.replace(WRITTEN, url) for word in words[1:]])
    assert done.exit_code == 0, done.stdout + done.stderr
    assert ("nothing costs prefix hits" if words[1] == "doctor" else "100% reused") in done.stdout


def test_the_server_here_is_started_as_it_says() -> None:
    (launched,) = (words for words in commands() if words[0] != "apr")
    started = well_set(30000, 30001)
    setting, script, model, *flags = launched
    assert setting == f"SGLANG_LAUNCHER={started.environment['SGLANG_LAUNCHER']}"
    assert [script, str(ROOT / model)] == list(started.command[:2])
    assert "".join(flags) in "".join(SERVED)


def test_there_are_commands_of_both_engines() -> None:
    engines = {word.partition(":")[0] for words in USES for word in words if word.startswith(("sglang:", "litellm:"))}
    assert engines == {"sglang", "litellm"}
