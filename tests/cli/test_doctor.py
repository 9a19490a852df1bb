"""`apr doctor` as its users meet it: in the process, and on real servers with right and with wrong settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from apr_agents.cli import main
from tests.sglang.addresses import address
from tests.support.random_gguf import RandomModel, write

MODEL = str(Path(__file__).parents[2] / "training" / "countdown-hf")


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments])


def found(*arguments: str) -> tuple[int, list[str], dict[str, Any]]:
    """The exit status, the names of what is found, and the facts."""
    result = doctor(*arguments, "--json")
    assert result.exit_code in (0, 1), result.stderr
    said = json.loads(result.stdout)
    assert said["ok"] == (result.exit_code == 0)
    return result.exit_code, [finding["name"] for finding in said["findings"]], said["facts"]


def test_the_shipped_model_is_well() -> None:
    status, names, facts = found()
    assert (status, names) == (0, [])
    assert facts["dialect"]["trained"]
    assert set(facts["dialect"]["tags"].values()) == {1}
    assert facts["probe"]["cached"] == facts["probe"]["shared"]
    assert facts["process"]["threads"] >= 1


def test_people_read_what_it_is_and_can_do() -> None:
    result = doctor()
    assert result.exit_code == 0
    for word in ("embedded:", "threads" if "threads" in result.stdout else "thread", "flash attention", "reuse"):
        assert word in result.stdout
    assert "nothing costs" in result.stdout


def test_a_model_that_knows_neither_dialect_nor_chat_is_told_so(tmp_path: Path) -> None:
    model = write(tmp_path / "random.gguf", RandomModel(context=1024))
    status, _, facts = found("--engine", f"embedded:{model}", "--dialect", "multiverse", "--engine-option", "exact=1")
    assert facts["dialect"]["name"] == "multiverse"
    assert not facts["dialect"]["trained"]
    assert facts["process"]["exact"]
    assert facts["info"]["window"] == 1024
    assert status == (facts["template"] is not None)


REFUSED = {
    "unknown engine": (["--engine", "steam"], "embedded"),
    "unknown option": (["--engine-option", "colour=red"], "threads"),
    "unknown dialect": (["--dialect", "latin"], "latin"),
    "no such file": (["--engine", "embedded:none.gguf"], "none.gguf"),
    "no address": (["--engine", "sglang:there"], "http://"),
}


@pytest.mark.parametrize(("arguments", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_usage_gets_one_clear_line(arguments: list[str], named: str) -> None:
    result = doctor(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert named in result.stderr


@pytest.mark.enable_socket
def test_a_server_that_is_not_there_gets_one_clear_line() -> None:
    result = doctor("--engine", "sglang:http://127.0.0.1:9")
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert "http://127.0.0.1:9" in result.stderr


@pytest.mark.sglang
@pytest.mark.enable_socket
@pytest.mark.timeout(300)
class TestRealServers:
    def test_nothing_is_found_on_one_that_is_well_set(self) -> None:
        status, names, facts = found("--engine", f"sglang:{address('APR_SGLANG_URL')}")
        assert (status, names) == (0, [])
        assert facts["probe"]["cached"] == facts["probe"]["shared"]
        assert facts["server"]["version"]

    def test_each_wrong_setting_is_found(self) -> None:
        status, names, facts = found("--engine", f"sglang:{address('APR_SGLANG_MISSET_URL')}")
        assert status == 1
        expected = {"radix-cache", "thinking-cache", "schedule-policy", "metrics", "cache-report", "streaming"}
        assert set(names) == expected
        assert facts["probe"]["cached"] == 0

    def test_people_read_what_mends_it(self) -> None:
        result = doctor("--engine", f"sglang:{address('APR_SGLANG_MISSET_URL')}")
        assert result.exit_code == 1
        for flag in ("--schedule-policy lpm", "--enable-metrics", "--enable-cache-report"):
            assert flag in result.stdout

    @pytest.mark.parametrize("router", ["APR_SGLANG_ROUTER_URL", "APR_SGLANG_CACHE_AWARE_URL"])
    def test_nothing_is_found_behind_a_router_that_keeps_runs_together(self, router: str) -> None:
        status, names, facts = found("--engine", f"sglang:{address(router)}")
        assert (status, names) == (0, [])
        assert facts["server"]["router"]
        assert facts["server"]["workers"] == 2

    @pytest.mark.parametrize("model", ["hosted_vllm/countdown", "apr-sglang/countdown"])
    def test_litellm_is_seen_through(self, model: str) -> None:
        base = address("APR_SGLANG_URL") + ("" if model.startswith("apr") else "/v1")
        options = ["--engine-option", f"api_base={base}", "--engine-option", f"tokenizer={MODEL}"]
        status, names, facts = found("--engine", f"litellm:{model}", *options)
        assert (status, names) == (0, [])
        assert facts["server"]["settings"]["schedule_policy"] == "lpm"

    def test_litellm_shows_what_its_server_lacks(self) -> None:
        base = address("APR_SGLANG_MISSET_URL") + "/v1"
        status, names, _ = found("--engine", "litellm:hosted_vllm/countdown", "--engine-option", f"api_base={base}")
        assert status == 1
        assert {"cache-report", "radix-cache", "schedule-policy"} <= set(names)
