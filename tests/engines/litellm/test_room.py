"""A request asks for what the window has room for, and a server never refuses it for asking too much."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Message, Request
from apr_agents.engines.litellm import LiteLLMEngine
from apr_agents.engines.litellm.room import Room
from apr_agents.engines.tokenizer import Tokenizer
from apr_agents.errors import ContextFull
from tests.engines.faults.transports import LITELLM
from tests.support.servers import openai
from tests.support.servers.double import Double, serving
from tests.support.servers.facts import Serving
from tests.support.servers.speech import SHIPPED, Speaker

TOKENIZER = Tokenizer(SHIPPED / "tokenizer.json")
WINDOW = 512
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt is not defined or add_generation_prompt %}<|assistant|>{% endif %}"
)
PROFILES = (openai.SGLANG, openai.VLLM, openai.TENSORRT, openai.TGI)


def context(text: str, said: str = "") -> Context:
    asked = Context.of(Segment(text, None, Origin.client))
    return asked.extend(Segment(said, None, Origin.generated)) if said else asked


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=80), st.integers(1, 200))
def test_a_text_and_what_it_may_have_fit_the_window(text: str, wanted: int) -> None:
    room = Room(128, TOKENIZER, chat=False)
    size = len(TOKENIZER.sample(text))
    try:
        left = room.left(Request(context(text), wanted))
    except ContextFull:
        assert size + 2 >= 128
        return
    assert 1 <= left <= wanted
    assert left == wanted or 128 - 2 <= size + left <= 128


def test_a_window_that_nobody_tells_bounds_nothing() -> None:
    assert Room(None, None, chat=True).left(Request(context("a" * 10_000), 4096)) == 4096


def test_an_answer_has_no_more_tokens_than_the_model_gives_one() -> None:
    assert Room(None, None, chat=True, most=100).left(Request(context("a"), 4096)) == 100
    assert Room(300, None, chat=False, most=100).left(Request(context("a" * 250), 4096)) == 300 - 251 - 2
    assert Room(None, None, chat=True, most=100).left(Request(context("a"), 50)) == 50


async def test_models_that_litellm_lists_are_asked_for_what_they_can() -> None:
    """Nothing is asked of this provider before the first request."""
    async with LiteLLMEngine("anthropic/claude-sonnet-4-5-20250929", api_key="none") as engine:
        prompt = engine.prompt([Message("user", "Numbers: 3 5 7")], {})
        assert engine.info.window == 200_000
        assert engine.opened.room.left(Request(prompt, 65_536)) == 64_000


def test_without_a_tokenizer_a_byte_is_taken_for_a_token_until_a_server_has_counted() -> None:
    room, prompt = Room(1000, None, chat=False), context("four" * 100)
    assert room.left(Request(prompt, 1000)) == 1000 - 400 - 3
    room.learn(prompt, 100)
    assert room.left(Request(prompt, 1000)) == 1000 - 110 - 3
    room.learn(context("short"), 5)  # says less than the long one did
    assert room.left(Request(prompt, 1000)) == 1000 - 110 - 3


def test_a_prompt_that_may_be_too_long_is_the_servers_to_judge_until_one_has_counted() -> None:
    room, prompt = Room(1000, None, chat=False), context("four" * 300)
    assert room.left(Request(prompt, 1000)) > 0
    room.learn(prompt, 1100)
    with pytest.raises(ContextFull, match="the window is 1000; shorten the prompt"):
        room.left(Request(prompt, 1000))


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    """The shipped tokenizer with a template that shows every message, as models that chat have one."""
    folder = tmp_path_factory.mktemp("chatty")
    shutil.copy(SHIPPED / "tokenizer.json", folder)
    settings = json.loads((SHIPPED / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": TEMPLATE}))
    return Speaker(folder)


@pytest.mark.enable_socket
@pytest.mark.filterwarnings(LITELLM)
@pytest.mark.parametrize("known", [True, False], ids=["tokenizer", "no tokenizer"])
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("kind", ["text", "chat"])
async def test_no_server_refuses_what_a_run_asks_for_on_its_way_to_the_windows_end(
    kind: str, profile: openai.Profile, chatty: Speaker, tmp_path: Path, *, known: bool
) -> None:
    """All the window is asked for each time, as a run does whose budget is larger, while the context grows."""
    template = tmp_path / "template.jinja"
    template.write_text(TEMPLATE)
    tokenizer, chat_template = (chatty.folder, None) if known else (None, template)
    model = "hosted_vllm/countdown" if kind == "chat" else "text-completion-openai/countdown"
    double = Double(Serving(window=WINDOW, profile=profile))
    double.speaker = chatty
    async with serving(double):
        base = f"{double.url}/v1"
        async with LiteLLMEngine(model, api_base=base, tokenizer=tokenizer, chat_template=chat_template) as engine:
            grown = engine.prompt([Message("system", "Play."), Message("user", "Numbers: 3 5 7")], {})
            asked = await _until_full(engine, grown)
    sizes = [(len(one.ask.prompt), one.ask.limit) for one in double.generations]
    assert len(sizes) == asked
    assert sizes[-1][0] > WINDOW // 2
    if known and kind == "text":
        assert all(WINDOW - 2 <= prompt + limit <= WINDOW for prompt, limit in sizes)


async def _until_full(engine: LiteLLMEngine, grown: Context) -> int:
    """How many requests went well before the engine itself found no room."""
    for asked in range(WINDOW):
        try:
            async with engine.stream(Request(grown, 65_536)) as chunks:
                said = "".join([chunk.text async for chunk in chunks])
        except ContextFull as error:
            if "the context has about" not in str(error):
                raise  # the server's word
            return asked
        grown = grown.extend(Segment(f"{said}\n<Thread>1: 12 + 34 = 46</Thread>", None, Origin.generated))
    pytest.fail("it never came to the window's end")
