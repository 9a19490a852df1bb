"""Connecting: what a server is, whose ids are ours, and one clear line for each way in which that fails."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from apr_agents.engines.base import Message
from apr_agents.engines.opening import open_engine
from apr_agents.engines.sglang import SGLangEngine
from apr_agents.engines.sglang.tokens import LocalTokens, RemoteTokens
from apr_agents.errors import EngineError, EngineUnavailable, UsageError
from tests.support.servers.double import Double, serving
from tests.support.servers.facts import Serving
from tests.support.servers.http import HttpServer, serve
from tests.support.servers.openai import VLLM
from tests.support.servers.speech import SHIPPED, Speaker

pytestmark = pytest.mark.enable_socket

ELSEWHERE = Serving(folder="org/model-that-is-not-here")
ROUTER = replace(ELSEWHERE, router=True)
QUESTION = (Message("system", "Be brief. "), Message("user", "Numbers: <Parallel> 26 45"))


@contextmanager
def beside(double: Double) -> Generator[str]:
    """A double in another thread, for what waits without an event loop."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(double)):
        yield double.url


async def test_a_server_on_this_machine_tells_all() -> None:
    async with serving(Double()) as double, SGLangEngine(double.url + "/") as engine:
        assert isinstance(engine.tokens, LocalTokens)
        info = engine.info
        assert (info.name, info.window, info.dialects, info.page, info.warms) == (
            "sglang:countdown", 4096, ("threadweaver",), 1, True,
        )  # fmt: skip
        facts = engine.facts
        assert (facts.model, facts.version, facts.router, facts.cache_tokens) == ("countdown", "0.5.21", False, 32768)


async def test_the_window_is_what_the_cache_holds_where_that_is_less() -> None:
    settings = Serving(facts={"max_total_num_tokens": 1000, "page_size": 16})
    async with serving(Double(settings)) as double, SGLangEngine(double.url) as engine:
        assert (engine.info.window, engine.info.page) == (1000, 16)


@pytest.mark.parametrize("text", ["Numbers: 26 45", "<Thread>1:", "a <Parallel> </s> <eos> [INST] 漢字 🙂\n", ""])
async def test_ids_that_the_server_is_asked_for_are_those_of_its_tokenizer(text: str) -> None:
    with beside(Double(ELSEWHERE)) as url, beside(Double(ROUTER)) as router:
        async with (
            SGLangEngine(url) as asked,
            SGLangEngine(router) as through,
            SGLangEngine(router, tokenizer=SHIPPED) as own,
        ):
            assert isinstance(asked.tokens, RemoteTokens)
            for control in (True, False):
                expected = own.encode(text, control=control)
                assert asked.encode(text, control=control) == through.encode(text, control=control) == expected
            assert asked.tokens.decode(own.encode(text, control=True)) == text


async def test_a_prompt_in_the_servers_own_template_keeps_messages_plain() -> None:
    with beside(Double(ELSEWHERE)) as url:
        async with SGLangEngine(url) as asked, SGLangEngine(url, tokenizer=SHIPPED) as own:
            variables = {"mode": "sequential"}
            here, there = own.prompt(QUESTION, variables), asked.prompt(QUESTION, variables)
            assert (here.text, here.ids) == (there.text, there.ids)
            assert own.encode("<Parallel>", control=True)[0] not in here.ids


async def test_a_model_that_was_downloaded_before_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    kept = tmp_path / "models--org--model-that-is-not-here"
    shutil.copytree(SHIPPED, kept / "snapshots" / "1234")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("1234")
    async with serving(Double(ELSEWHERE)) as double, SGLangEngine(double.url) as engine:
        assert isinstance(engine.tokens, LocalTokens)
        assert engine.info.dialects == ("threadweaver",)


async def test_a_router_needs_the_template_from_the_user(tmp_path: Path) -> None:
    template = tmp_path / "chat.jinja"
    template.write_text("{% for message in messages %}{{ message['content'] }}\n{% endfor %}<think>")
    with beside(Double(ROUTER)) as url:
        async with SGLangEngine(url) as bare, SGLangEngine(url, chat_template=template) as given:
            assert bare.facts.router
            with pytest.raises(EngineError, match="a router does not apply the model's chat template"):
                bare.prompt(QUESTION, {})
            assert given.prompt(QUESTION, {}).text == "Be brief. \nNumbers: <Parallel> 26 45\n<think>"


async def test_plain_text_that_the_server_reads_as_control_is_refused(tmp_path: Path) -> None:
    """A control token without brackets cannot be seen from outside before the server has read it."""
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    data = json.loads((SHIPPED / "tokenizer.json").read_text())
    data["added_tokens"].append({**data["added_tokens"][-1], "id": 530, "content": "QQ", "special": True})
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    double = Double(ELSEWHERE)
    double.speaker = Speaker(tmp_path)
    with beside(double) as url:
        async with SGLangEngine(url) as engine:
            assert engine.encode("a QQ b", control=True)[2] == 530
            with pytest.raises(EngineError, match="holds a control token of the model"):
                engine.encode("a QQ b", control=False)


async def test_a_server_that_is_not_there() -> None:
    with pytest.raises(EngineUnavailable, match=r"http://127\.0\.0\.1:9: no server answers .*; start it") as raised:
        async with SGLangEngine("http://127.0.0.1:9"):
            pass
    assert raised.value.again


async def test_a_server_of_another_kind() -> None:
    async with serving(Double(Serving(profile=VLLM))) as double:
        with pytest.raises(EngineUnavailable, match="is no SGLang server: it has no /get_model_info"):
            async with SGLangEngine(double.url):
                pass


async def test_a_page_in_place_of_an_answer() -> None:
    async with serve(HttpServer(lambda exchange: exchange.respond(200, b"<html>"))) as server:
        with pytest.raises(EngineUnavailable, match=r"does not answer as a SGLang server does: .*not a JSON object"):
            async with SGLangEngine(server.url):
                pass


async def test_another_models_tokenizer_is_refused(tmp_path: Path) -> None:
    text = (SHIPPED / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(text.replace('"<Thread>"', '"<Threads>"'))
    async with serving(Double()) as double:
        with pytest.raises(EngineUnavailable, match=r"with another tokenizer than .*tokenizer\.json"):
            async with SGLangEngine(double.url, tokenizer=tmp_path):
                pass


@pytest.mark.parametrize("spec", ["sglang:", "sglang:127.0.0.1:30000", "sglang:ftp://host"])
def test_an_address_that_is_none(spec: str) -> None:
    with pytest.raises(UsageError, match=f"engine {spec}: an address is needed"):
        open_engine(spec)


def test_an_option_that_there_is_not() -> None:
    with pytest.raises(
        UsageError, match="engine option 'threads': there is tokenizer, chat_template, dialects, api_key"
    ):
        open_engine("sglang:http://127.0.0.1:9", {"threads": "2"})


async def test_dialects_are_the_users_to_say() -> None:
    options = {"dialects": "npr,multiverse"}
    async with serving(Double()) as double, open_engine(f"sglang:{double.url}", options) as engine:
        assert engine.info.dialects == ("npr", "multiverse")


async def test_the_key_goes_to_the_server_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGLANG_API_KEY", "canary-key")
    async with serving(Double()) as double, open_engine(f"sglang:{double.url}") as engine:
        sent = {asked.headers.get("authorization") for asked in double.http.asked}
        assert sent == {"Bearer canary-key"}
        assert "canary" not in f"{engine.info} {vars(engine)}"
