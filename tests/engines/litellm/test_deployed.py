"""What operators deploy for LiteLLM: the configuration on stand-ins and on real servers, the README's program run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import anyio.to_thread
import pytest
import yaml
from click.testing import CliRunner

from apr_agents.cli import main
from apr_agents.engines.litellm.config import read_config
from apr_agents.engines.litellm.loading import load
from apr_agents.integrations.litellm import register
from tests.engines.faults.transports import LITELLM
from tests.engines.litellm.deploying import DEPLOYED, at, deployed
from tests.sglang.addresses import address
from tests.sglang.scripting import forget, requests_of
from tests.support.servers.double import Double, serving

pytestmark = [pytest.mark.enable_socket, pytest.mark.filterwarnings(LITELLM)]

ROOT = DEPLOYED.parents[1]
README = (DEPLOYED / "README.md").read_text(encoding="utf-8")


def test_a_router_takes_the_configuration_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGLANG_API_KEY", "the-key")
    register()
    router = load().Router(**read_config(DEPLOYED / "config.yaml"))
    try:
        assert sorted(set(router.get_model_names())) == ["reasoner", "reserve"]
        assert [one["litellm_params"]["api_key"] for one in router.get_model_list()] == ["the-key"] * 3
        assert (router.num_retries, router.allowed_fails, router.cooldown_time) == (1, 0, 30)
        assert router.fallbacks == [{"reasoner": ["reserve"]}]
    finally:
        router.discard()


def test_no_address_is_there_twice_and_no_key_stands_in_the_file() -> None:
    params = [entry["litellm_params"] for entry in deployed()["model_list"]]
    assert len({one["api_base"] for one in params}) == len(params) == 3
    assert {one["api_key"] for one in params} == {"os.environ/SGLANG_API_KEY"}


def test_the_readme_begins_with_where_the_code_is_and_its_links_lead_there() -> None:
    assert "apr_agents/engines/litellm" in README.splitlines()[0]
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (DEPLOYED / target).exists(), target


async def test_the_readmes_program_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """As it stands there, but for the address."""
    (program,) = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    async with serving(Double()) as double:
        assert "http://127.0.0.1:30000" in program
        moved = program.replace("http://127.0.0.1:30000", double.url)
        names: dict[str, object] = {}
        await anyio.to_thread.run_sync(exec, compile(moved, "README.md", "exec"), names)
        shown = capsys.readouterr().out
    assert shown.startswith("So it is.")
    assert "'matched_stop': None, 'finish': 'stop'" in shown


@pytest.mark.sglang
@pytest.mark.timeout(300)
def test_the_demo_runs_on_real_servers_by_this_configuration(tmp_path: Path) -> None:
    """As the README has it, but for the addresses: all of the run on one of the two workers, none on the reserve."""
    workers, reserve = address("APR_SGLANG_WORKER_URLS").split(), address("APR_SGLANG_URL")
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(at(deployed(), [*workers, reserve])))
    for url in workers:
        forget(url)
    before = requests_of([*workers, reserve])
    demo = ["--input", "numbers=26 45 27 21", "--input", "target=18", "--json"]
    engine = ["--engine", "litellm:reasoner", "--engine-option", f"router={file}"]
    result = CliRunner().invoke(main, ["run", str(ROOT / "examples" / "countdown.yaml"), *demo, *engine])
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    assert (said["report"]["tokens"]["generated"], said["report"]["tokens"]["critical"]) == (544, 175)
    assert said["report"]["tokens"]["reused"] == said["report"]["tokens"]["reusable"]
    taken = [after - earlier for earlier, after in zip(before, requests_of([*workers, reserve]), strict=True)]
    assert taken[2] == 0
    assert sorted(taken)[:2] == [0, 0]
    assert sum(taken) == 8  # the plan, six branches, the synthesis
