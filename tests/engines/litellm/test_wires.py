"""Each kind of server behind the OpenAI wire, for texts and for chats: what it is asked for, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pytest

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Chunk, Finish, Message, Request, Sampling
from apr_agents.engines.litellm import LiteLLMEngine
from apr_agents.engines.litellm.prompts import GO_ON
from tests.engines.faults.transports import LITELLM
from tests.engines.litellm.test_plain import OPENAI
from tests.support.servers import openai
from tests.support.servers.acts import Act, Answer, Json
from tests.support.servers.double import Double, serving
from tests.support.servers.facts import Serving
from tests.support.servers.saying import Saying
from tests.support.servers.speech import SHIPPED, Speaker

pytestmark = [pytest.mark.enable_socket, pytest.mark.filterwarnings(LITELLM)]

MODELS = {
    "text": "text-completion-openai/countdown",
    "chat": "hosted_vllm/countdown",
    "openai-chat": "openai/countdown",
}
SAID = " one two three four"
"""Of plain words, which every server shows."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of server, and what must hold of it."""

    profile: openai.Profile
    wire: str | None = None
    """What the user has to say of it; None: the server says it itself."""
    stops: bool = True
    """Whether it is asked to stop; otherwise the stream is closed here at the first stop."""
    special: bool = True
    """Whether it shows special tokens."""
    continues: bool = False
    """Whether it goes on with an assistant's message."""
    counts: bool = True
    """Whether it says what was cached."""


KINDS: Mapping[str, Kind] = {
    "sglang": Kind(openai.SGLANG, continues=True),
    "vllm": Kind(openai.VLLM, continues=True),
    "tensorrt-llm": Kind(openai.TENSORRT),
    "tgi": Kind(openai.TGI, wire="tgi", special=False, counts=False),
    "openai": Kind(OPENAI, stops=False, special=False),
}
EVERY = pytest.mark.parametrize("name", KINDS)
BOTH = pytest.mark.parametrize("form", MODELS)


@dataclass(frozen=True, slots=True)
class Got:
    """What came, and the body that was asked for it."""

    chunks: Sequence[Chunk]
    body: Json
    cached: int
    """By the server's own count."""

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def finish(self) -> Finish:
        finish = self.chunks[-1].finish
        assert finish is not None
        return finish


async def ask(
    name: str, form: str, said: str, stops: Sequence[str] = (), *, context: Context | None = None, again: bool = False
) -> Got:
    """One answer of this kind of server; `again`: the second of two to the same request."""
    kind = KINDS[name]
    double = Double(Serving(profile=kind.profile))
    async with serving(double):
        saying = Saying({"": said}, double.speaker)
        options = {"api_base": f"{double.url}/v1", "wire": kind.wire}
        async with LiteLLMEngine(MODELS[form], **options, tokenizer=SHIPPED, extend=saying.openai) as engine:
            prompt = context or engine.prompt([Message("user", "Numbers: 1 2 3")], {})
            sampling = Sampling(0.7, 20, 0.9, 4711)
            request = Request(prompt, 60, tuple(stops), stop_ids=(7,), sampling=sampling, run_id="r" * 16)
            chunks: list[Chunk] = []
            for _ in range(2 if again else 1):
                async with engine.stream(request) as stream:
                    chunks = [chunk async for chunk in stream]
    return Got(chunks, double.generations[-1].body, double.generations[-1].cached)


@EVERY
@BOTH
@pytest.mark.parametrize("stop", [" two", "o th"])
async def test_a_stop_is_matched_and_kept_on_streams(name: str, form: str, stop: str) -> None:
    got = await ask(name, form, SAID, (stop, "<never>"))
    assert (got.finish.reason, got.finish.matched) == ("stop", stop)
    before, found, after = got.text.partition(stop)
    assert found
    assert SAID.startswith(before + found + after)
    assert len(after) < 5  # the rest of the token in which it ended
    assert ("stop" in got.body) == KINDS[name].stops


@EVERY
@BOTH
async def test_the_models_own_end_is_no_stop_and_no_text(name: str, form: str) -> None:
    got = await ask(name, form, SAID, (" five", "<never>"))
    assert (got.finish.reason, got.finish.matched, got.text) == ("stop", None, SAID)


@EVERY
@BOTH
async def test_control_tags_are_shown_where_the_server_can(name: str, form: str) -> None:
    got = await ask(name, form, f"{SAID}</Thread> never", ("</Thread>",))
    if KINDS[name].special:
        assert (got.text, got.finish.matched) == (f"{SAID}</Thread>", "</Thread>")
        assert got.body["skip_special_tokens"] is False
    else:
        assert got.text == f"{SAID} never"
        assert "skip_special_tokens" not in got.body


@EVERY
@BOTH
async def test_the_counts_are_the_servers_own(name: str, form: str) -> None:
    got = await ask(name, form, SAID, again=True)
    usage, tokens = got.finish.usage, len(Speaker().encode(SAID)) + 1
    assert usage.generated == tokens
    assert usage.prompt > got.cached > 0
    assert usage.cached == (got.cached if KINDS[name].counts else None)


@EVERY
@BOTH
async def test_a_body_says_only_what_this_kind_of_server_knows(name: str, form: str) -> None:
    body = (await ask(name, form, SAID, ("<never>",))).body
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert (body["temperature"], body["top_p"], body["seed"], body["max_tokens"]) == (0.7, 0.9, 4711, 60)
    samples = name in ("sglang", "vllm", "tensorrt-llm")
    assert ("top_k" in body) == ("stop_token_ids" in body) == samples
    keeps: Literal["no_stop_trim", "include_stop_str_in_output", ""] = (
        "no_stop_trim" if name == "sglang" else "include_stop_str_in_output" if samples else ""
    )
    for field in ("no_stop_trim", "include_stop_str_in_output"):
        assert body.get(field) == (True if field == keeps else None)


@EVERY
async def test_a_text_goes_out_as_it_is(name: str) -> None:
    grown = Context.of(Segment("naïve <x> ", None, Origin.client), Segment("and on", None, Origin.generated))
    assert (await ask(name, "text", SAID, context=grown)).body["prompt"] == "naïve <x> and on"


@EVERY
@pytest.mark.parametrize("form", ["chat", "openai-chat"])
async def test_a_chat_goes_on_where_the_assistant_is(name: str, form: str) -> None:
    grown = Context.of(
        Segment("system\nPlay.", None, Origin.client),
        Segment("user\n1 2", None, Origin.client),
        Segment("so far", None, Origin.generated),
        Segment("<Thread>1:", None, Origin.header),
    )
    body = (await ask(name, form, SAID, context=grown)).body
    asked = [{"role": "system", "content": "Play."}, {"role": "user", "content": "1 2"}]
    begun = {"role": "assistant", "content": "so far<Thread>1:"}
    if KINDS[name].continues:
        assert body["messages"] == [*asked, begun]
        assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    else:
        assert body["messages"] == [*asked, begun, {"role": "user", "content": GO_ON}]
        assert "continue_final_message" not in body


@BOTH
async def test_a_hundred_equal_chunks_are_a_hundred(form: str) -> None:
    """LiteLLM's own reader takes them for a model in a loop, and raises; another would take them for one."""

    def repeat(answer: Answer) -> Sequence[Act]:
        events = [answer.wire.text(answer.payloads[1], " word") for _ in range(100)]
        return Answer(answer.wire, streamed=True, payloads=(*events, *answer.payloads[answer.finish :])).acts()

    double = Double(fault=lambda _: repeat)
    async with (
        serving(double),
        LiteLLMEngine(MODELS[form], api_base=f"{double.url}/v1", tokenizer=SHIPPED) as engine,
    ):
        prompt = engine.prompt([Message("user", "Numbers: 1 2 3")], {})
        async with engine.stream(Request(prompt, 200)) as stream:
            chunks = [chunk async for chunk in stream]
    assert [chunk.text for chunk in chunks[:-1]] == [" word"] * 100
    assert chunks[-1].finish is not None
