"""A LiteLLM Router's configuration is taken as it is: what it says of deployments holds, by the servers' own counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from apr_agents import RunResult, Settings, load_dialect, run
from apr_agents.engines.base import Message, Request
from apr_agents.engines.litellm import LiteLLMEngine
from apr_agents.errors import EngineError, StreamFault, UsageError
from tests.engines.faults.scenarios import refuse, streamed
from tests.engines.faults.transports import LITELLM
from tests.engines.litellm.deploying import QUESTION, at, deployed, doubles, runs_at, script
from tests.support.servers import openai
from tests.support.servers.acts import Close
from tests.support.servers.double import Double
from tests.support.servers.facts import Serving
from tests.support.servers.saying import Saying
from tests.support.servers.speech import SHIPPED, Speaker

pytestmark = [pytest.mark.enable_socket, pytest.mark.filterwarnings(LITELLM)]

BRANCHES = 8
REQUESTS = BRANCHES + 2
"""Of a run: the plan, its branches, the synthesis."""


def chats(**settings: object) -> dict[str, Any]:
    """Two deployments of a chat model, and one in reserve."""
    params = {"model": "hosted_vllm/countdown", "api_base": ""}
    listed = [{"model_name": name, "litellm_params": dict(params)} for name in ("think", "think", "reserve")]
    return {"model_list": listed, "router_settings": settings}


async def go(config: dict[str, Any], model: str = "reasoner") -> RunResult:
    """One run of its own engine, with a Router that knows of nothing before."""
    async with engine_of(config, model) as engine:
        return await run(engine, QUESTION, Settings(load_dialect("threadweaver")))


def engine_of(config: dict[str, Any], model: str = "reasoner", branches: int = BRANCHES) -> LiteLLMEngine:
    saying = Saying(script(branches), Speaker())
    extend = saying.native if model == "reasoner" else saying.openai
    return LiteLLMEngine(model, router=config, tokenizer=SHIPPED, dialects=["threadweaver"], extend=extend)


@pytest.mark.parametrize("model", ["reasoner", "think"])
async def test_all_requests_of_a_run_are_on_one_server(model: str) -> None:
    servers = [Double(), Double(), Double()]
    config = deployed() if model == "reasoner" else chats()  # ours comes with affinity; the other gets it added
    async with doubles(*servers) as urls:
        for _ in range(2):
            before = [len(server.generations) for server in servers]
            result = await go(at(config, urls), model)
            assert (result.ended, result.answer) == ("answered", "all seen"), result.detail
            taken = [len(server.generations) - count for server, count in zip(servers, before, strict=True)]
            assert sorted(taken) == [0, 0, REQUESTS]
            assert taken[2] == 0  # nobody needed the reserve
            served = next(server for server, count in zip(servers, taken, strict=True) if count)
            assert set(runs_at(served)[-REQUESTS:]) == {result.trace.run_id}


async def test_branches_find_their_parents_prefix_there() -> None:
    servers = [Double(), Double(), Double()]
    async with doubles(*servers) as urls:
        result = await go(at(deployed(), urls))
    for span in result.trace.spans:
        if span.tokens is not None and span.path:
            assert span.tokens.cached is not None
            assert span.tokens.reusable is not None
            assert span.tokens.cached >= span.tokens.reusable > 0


async def test_runs_at_the_same_time_stay_each_on_its_own_server() -> None:
    servers = [Double(), Double(), Double()]
    ended: dict[str, str] = {}
    async with doubles(*servers) as urls, engine_of(at(deployed(), urls), branches=2) as engine:

        async def one() -> None:
            result = await run(engine, QUESTION, Settings(load_dialect("threadweaver")))
            ended[result.trace.run_id] = result.ended

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(one)
    assert list(ended.values()) == ["answered"] * 8
    homes = [{number for number, server in enumerate(servers) if name in runs_at(server)} for name in ended]
    assert [len(home) for home in homes] == [1] * 8


async def test_servers_that_fail_cool_down_and_the_reserve_serves() -> None:
    """Each is asked once: the first of them by the request, the other by the Router's one retry, then the fallback."""
    failing = [Double(fault=lambda _: refuse(503)), Double(fault=lambda _: refuse(503))]
    reserve = Double()
    async with doubles(*failing, reserve) as urls:
        result = await go(at(deployed(), urls))
    assert (result.ended, result.answer) == ("answered", "all seen"), result.detail
    assert [len(server.generations) for server in failing] == [1, 1]
    assert len(reserve.generations) == REQUESTS


async def test_a_server_that_is_down_is_left_out() -> None:
    servers = [Double(), Double()]
    async with doubles(*servers) as urls:
        result = await go(at(deployed(), [urls[0], "http://127.0.0.1:9", urls[1]]))
    assert result.ended == "answered", result.detail
    assert sum(len(server.generations) for server in servers) == REQUESTS


@pytest.mark.parametrize("model", ["reasoner", "think"])
async def test_an_answer_that_has_begun_is_never_sent_again(model: str) -> None:
    """The Router would send it again, and then to the reserve."""
    config = deployed() if model == "reasoner" else chats(num_retries=3, fallbacks=[{"think": ["reserve"]}])
    cutting = [Double(fault=lambda _: lambda answer: streamed(answer, Close())) for _ in range(3)]
    async with doubles(*cutting) as urls, engine_of(at(config, urls), model) as engine:
        request = Request(engine.prompt([Message("user", QUESTION)], {}), 200)
        with pytest.raises(StreamFault) as caught:
            async with engine.stream(request) as chunks:
                _ = [chunk async for chunk in chunks]
    assert (caught.value.fault, caught.value.again) == ("cut", False)
    assert caught.value.partial
    assert sum(len(server.generations) for server in cutting) == 1


async def test_a_budget_that_is_spent_closes_its_deployment() -> None:
    """By LiteLLM's own book, which it keeps beside the requests: so the servers are asked until it refuses."""
    servers = [Double(Serving(profile=openai.VLLM)) for _ in range(3)]
    config = chats()
    for entry in config["model_list"]:
        entry["litellm_params"] |= {"input_cost_per_token": 1.0, "max_budget": 0.01, "budget_duration": "1d"}
    async with doubles(*servers) as urls, engine_of(at(config, urls), "think") as engine:
        prompt = engine.prompt([Message("user", QUESTION)], {})

        async def spend() -> None:
            for number in range(200):
                async with engine.stream(Request(prompt, 20, run_id=f"{number:016x}")) as chunks:
                    assert [chunk async for chunk in chunks]

        with pytest.raises(EngineError, match=r"[Bb]udget") as caught:
            await spend()
    assert "\n" not in str(caught.value)
    assert all(server.generations for server in servers[:2])


BAD: Sequence[tuple[object, str]] = (
    ([], "there is no model_list"),
    ({"model_list": []}, "there is no model_list"),
    ({"model_list": [{"model_name": "reasoner"}]}, r"model_list\.0: model_name and litellm_params\.model are needed"),
    ({**chats(), "router_settings": 3}, "router_settings: names and values are needed"),
    (chats(no_such_setting=1), "refused by LiteLLM: .*no_such_setting"),
    (chats(), "no such model_name; there is reserve, think"),
)


@pytest.mark.parametrize(("config", "said"), BAD, ids=[said for _, said in BAD])
async def test_a_configuration_that_cannot_be_meant_is_refused_in_one_line(
    config: object, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "router.yaml"
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(UsageError, match=said) as caught:
        async with LiteLLMEngine("reasoner", router=file):
            pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "said"), [(": [", "not YAML"), (None, "No such file"), ("a" * 2**21, "more than")])
async def test_a_file_that_is_none_is_named(text: str | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "router.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=f"{file}.*{said}"):
        async with LiteLLMEngine("reasoner", router=file):
            pass


async def test_deployments_of_two_kinds_are_no_model_for_a_run() -> None:
    config = chats()
    config["model_list"][1]["litellm_params"] |= {"model": "text-completion-openai/countdown"}
    with pytest.raises(UsageError, match="mix chat and text; a run needs one kind"):
        async with LiteLLMEngine("think", router=at(config, ["http://127.0.0.1:9"] * 3)):
            pass


async def test_an_address_beside_a_configuration_is_refused() -> None:
    with pytest.raises(UsageError, match="api_base: with router=, each deployment has its own"):
        async with LiteLLMEngine("think", router=chats(), api_base="http://127.0.0.1:9"):
            pass
