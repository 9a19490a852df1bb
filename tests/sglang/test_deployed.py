"""What operators deploy: the scripts' commands, and the files that are built on them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sglang.addresses import address
from tests.sglang.scripting import answer, metrics

DEPLOYED = Path(__file__).parents[2] / "integrations" / "sglang"
KEY = "the-key"


def script(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What this script says when it is only to print its command."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("SGLANG_", "ROUTER_"))}
    return subprocess.run(
        ["bash", str(DEPLOYED / name), *arguments],
        env={**plain, "DRY_RUN": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((DEPLOYED / name).read_text(encoding="utf-8"))


def test_a_server_listens_here_and_has_the_flags_that_matter() -> None:
    said = script("launch.sh", "MODEL NAME", "--tp", "2").stdout.splitlines()
    assert said[:3] == ["python3", "-m", "sglang.launch_server"]
    assert said[said.index("--model-path") + 1] == "MODEL NAME"
    assert said[said.index("--host") + 1] == "127.0.0.1"
    assert said[said.index("--schedule-policy") + 1] == "lpm"
    assert said[said.index("--page-size") + 1] == "1"
    assert {"--enable-cache-report", "--enable-metrics", "--incremental-streaming-output"} <= set(said)
    assert said[-2:] == ["--tp", "2"]
    assert "--strip-thinking-cache" not in said


def test_a_router_keeps_runs_together_and_sends_nothing_twice() -> None:
    said = script("router.sh", "http://a:1", "http://b:1", "--log-level", "warn").stdout.splitlines()
    at = said.index("--worker-urls")
    assert said[at + 1 : at + 3] == ["http://a:1", "http://b:1"]
    assert said[said.index("--policy") + 1] == "manual"
    assert said[said.index("--host") + 1] == said[said.index("--prometheus-host") + 1] == "127.0.0.1"
    assert "--disable-retries" in said
    assert said[-2:] == ["--log-level", "warn"]


def test_no_script_prints_the_key() -> None:
    for said in (script("launch.sh", "M", SGLANG_API_KEY=KEY), script("router.sh", "http://a:1", SGLANG_API_KEY=KEY)):
        assert "--api-key" in said.stdout.splitlines()
        assert KEY not in said.stdout


REFUSED: Mapping[str, tuple[tuple[str, ...], Mapping[str, str], str]] = {
    "no model": (("launch.sh",), {}, "which model"),
    "no worker": (("router.sh",), {}, "which servers"),
    "a policy that tears runs apart": (("router.sh", "http://a:1"), {"ROUTER_POLICY": "random"}, "cache_aware"),
    "an open server": (("launch.sh", "M"), {"SGLANG_HOST": "0.0.0.0"}, "SGLANG_API_KEY"),
    "an open router": (("router.sh", "http://a:1"), {"ROUTER_HOST": "0.0.0.0"}, "SGLANG_API_KEY"),
}


@pytest.mark.parametrize(("command", "environment", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_usage_gets_one_clear_line(command: tuple[str, ...], environment: Mapping[str, str], named: str) -> None:
    said = script(*command, **environment)
    assert (said.returncode, said.stdout) == (2, "")
    assert len(said.stderr.splitlines()) == 1
    assert named in said.stderr


def test_the_compose_file_starts_the_scripts_and_its_addresses_meet() -> None:
    services = read("compose.yaml")["services"]
    workers = [name for name in services if name.startswith("worker-")]
    assert len(workers) == 2
    for name in workers:
        service = services[name]
        assert service["entrypoint"][:2] == ["bash", "/apr/launch.sh"]
        said = script("launch.sh", "MODEL", **{**service["environment"], "SGLANG_API_KEY": KEY})
        assert said.returncode == 0, said.stderr
        assert f"{service['environment']['SGLANG_PORT']}" in said.stdout.splitlines()
        assert "ports" not in service
    router = services["router"]
    said = script(*[Path(word).name if word.startswith("/apr") else word for word in router["entrypoint"][1:]],
                  **{**router["environment"], "SGLANG_API_KEY": KEY})  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert router["entrypoint"][2:] == [f"http://{name}:30000" for name in workers]
    for service in services.values():
        for mounted in service["volumes"]:
            if mounted.startswith("./"):
                assert (DEPLOYED / mounted.split(":")[0]).is_file()
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")


def test_prometheus_asks_where_the_compose_file_answers() -> None:
    services = read("compose.yaml")["services"]
    ports = {name: services[name]["environment"].get("SGLANG_PORT") for name in services if name.startswith("worker-")}
    ports["router"] = services["router"]["environment"]["ROUTER_METRICS_PORT"]
    jobs = read("prometheus.yaml")["scrape_configs"]
    targets = {target for job in jobs for config in job["static_configs"] for target in config["targets"]}
    assert targets == {f"{name}:{port}" for name, port in ports.items()}


def kept(job: str) -> tuple[re.Pattern[str], list[str]]:
    """What of a job's samples is kept, and every name that this means."""
    found = next(one for one in read("prometheus.yaml")["scrape_configs"] if one["job_name"] == job)
    pattern = found["metric_relabel_configs"][0]["regex"]
    prefix, _, names = pattern.removesuffix(")").partition("(")
    expanded = names.replace("_(bucket|sum|count)", "_bucket")
    return re.compile(pattern), [prefix + name for name in expanded.split("|")]


@pytest.mark.sglang
@pytest.mark.enable_socket
def test_prometheus_takes_what_real_servers_tell() -> None:
    worker, router = address("APR_SGLANG_URL"), address("APR_SGLANG_ROUTER_URL")
    for url in (worker, worker, router):
        answer(url)  # a counter comes with the first that it counts: the second request finds cached tokens
    for job, url in (("sglang", worker), ("sglang-router", address("APR_SGLANG_ROUTER_METRICS_URL"))):
        pattern, names = kept(job)
        told = metrics(url)
        assert [name for name in names if name not in told] == []
        assert all(pattern.fullmatch(name) for name in names)
