"""`apr-sglang/NAME` for programs that use LiteLLM: ids, cached counts, the stop, strict ends, by call and by Router."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import accumulate
from typing import Any

import anyio.to_thread
import pytest

from apr_agents.engines.litellm.loading import Foreign, load
from apr_agents.integrations.litellm import SGLangProvider, register
from tests.engines.faults.scenarios import BEFORE, CUTS, EVENTS_OF_NO_PROTOCOL, PLAIN, REFUSALS, Scenario
from tests.engines.faults.transports import LITELLM
from tests.support.servers.acts import Act, Answer, Json
from tests.support.servers.double import Double, Generation, serving
from tests.support.servers.facts import Serving
from tests.support.servers.speech import Speaker

pytestmark = [pytest.mark.enable_socket, pytest.mark.filterwarnings(LITELLM)]

litellm = load()
MODEL = "apr-sglang/countdown"
ASKED = [{"role": "user", "content": "Numbers: 3 5 7"}]
SAID = " one two three"
KEY = "sk-canary-0815"
Fault = Callable[[Generation], Callable[[Answer], Sequence[Act]] | None]


@asynccontextmanager
async def server(says: str = SAID, fault: Fault | None = None) -> AsyncGenerator[Double]:
    """A server that says this, and the provider, whose connections are closed behind it."""
    provider = register()
    async with serving(Double(Serving(default=says), fault)) as double:
        try:
            yield double
        finally:
            await provider.aclose()


async def call(double: Double, **given: object) -> Foreign:
    return await litellm.acompletion(MODEL, ASKED, **{"api_base": double.url, "max_retries": 0, **given})


async def streamed(double: Double, **given: object) -> list[Foreign]:
    return [chunk async for chunk in await call(double, stream=True, **given)]


def fields(choice: Foreign) -> Mapping[str, Any]:
    """What LiteLLM has no place for."""
    return (getattr(choice, "message", None) or choice.delta).provider_specific_fields or {}


def text_of(chunks: Sequence[Foreign]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_it_is_registered_once() -> None:
    assert register() is register()
    ours = [one for one in litellm.custom_provider_map if isinstance(one["custom_handler"], SGLangProvider)]
    assert [one["provider"] for one in ours] == ["apr-sglang"]


async def test_a_chat_has_its_ids_its_counts_and_its_end() -> None:
    async with server() as double:
        await call(double)
        answer = await call(double)
    spelt = Speaker().script(SAID)
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == (SAID, "stop")
    told = fields(choice)
    assert (tuple(told["ids"]), told["matched_stop"], told["finish"]) == (spelt, None, "stop")
    assert set(told["timings"]) == {"queue", "prefill", "decode"}
    prompt = double.generations[-1].ask.prompt
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (len(prompt), len(spelt))
    assert usage.prompt_tokens_details.cached_tokens == double.generations[-1].cached == len(prompt) - 1
    assert answer.model == MODEL


async def test_a_stream_has_them_too() -> None:
    async with server() as double:
        await call(double)
        chunks = await streamed(double, stream_options={"include_usage": True})
    assert text_of(chunks) == SAID
    assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) > 3
    ids = [token for chunk in chunks if chunk.choices for token in fields(chunk.choices[0]).get("ids", ())]
    assert tuple(ids) == Speaker().script(SAID)
    (last,) = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    assert last.choices[0].finish_reason == "stop"
    usage = next(chunk.usage for chunk in chunks if getattr(chunk, "usage", None))
    assert usage.prompt_tokens_details.cached_tokens == double.generations[-1].cached > 0


@pytest.mark.parametrize("stop", [" two", "o th", "</Thread>"])
async def test_the_stop_is_told_and_kept_out_of_the_text_unless_it_is_wanted(stop: str) -> None:
    said = f"{SAID}</Thread> never"
    async with server(said) as double:
        for trim in (True, False):
            given = {"stop": [stop, "<never>"]} | ({} if trim else {"no_stop_trim": True})
            whole, chunks = await call(double, **given), await streamed(double, **given)
            before = said.partition(stop)[0]
            for text in (whole.choices[0].message.content, text_of(chunks)):
                assert text == before if trim else text.startswith(before + stop)
            matched = [fields(chunk.choices[0]).get("matched_stop") for chunk in chunks if chunk.choices]
            assert fields(whole.choices[0])["matched_stop"] == stop
            ids = [token for chunk in chunks for token in fields(chunk.choices[0]).get("ids", ())]
            assert ids == fields(whole.choices[0])["ids"]
            assert [one for one in matched if one] == [stop]


async def test_ids_go_out_as_they_are_and_a_text_with_its_control_tags() -> None:
    ids = Speaker().encode("Numbers: 3 5 7<think>")
    async with server() as double:
        await call(double, input_ids=list(ids))
        await call(double, text="Numbers: 3 5 7<think>")
        await litellm.atext_completion(model=MODEL, prompt="Numbers: 3 5 7<think>", api_base=double.url, max_tokens=9)
    assert [generation.ask.prompt for generation in double.generations] == [ids] * 3


async def test_text_completions_have_their_counts_and_end() -> None:
    async with server() as double:
        answer = await litellm.atext_completion(model=MODEL, prompt="Numbers:", api_base=double.url, max_tokens=4)
    assert SAID.startswith(answer.choices[0].text)
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 4)


async def test_equal_chunks_are_neither_collapsed_nor_doubled_nor_taken_for_a_loop() -> None:
    """LiteLLM raises at a hundred in a row."""
    count = 250

    def repeat(answer: Answer) -> Sequence[Act]:
        first: Json = answer.payloads[0]
        empty: Json = {"text": "", "output_ids": [], "meta_info": {**first["meta_info"], "completion_tokens": 0}}
        events = list(accumulate(range(count), lambda last, _: answer.wire.text(last, " one"), initial=empty))[1:]
        end: Json = {**answer.payloads[answer.finish]["meta_info"], "completion_tokens": count}
        return Answer(answer.wire, streamed=True, payloads=(*events, {**events[-1], "meta_info": end})).acts()

    async with server(fault=lambda _: repeat) as double:
        chunks = await streamed(double, max_tokens=count)
    texts = [text for chunk in chunks if (text := chunk.choices[0].delta.content)]
    assert "".join(texts) == " one" * count
    assert len(texts) > count - count // 40
    assert len([token for chunk in chunks for token in fields(chunk.choices[0]).get("ids", ())]) == count


FAULTS = [scenario for scenario in (*BEFORE, *CUTS, *EVENTS_OF_NO_PROTOCOL) if scenario.out is not None]


@pytest.mark.parametrize("scenario", FAULTS, ids=[scenario.name for scenario in FAULTS])
async def test_no_fault_of_a_stream_passes_for_an_answer(scenario: Scenario) -> None:
    async with server(fault=lambda _: scenario.does) as double:
        with pytest.raises(litellm.exceptions.APIError.__mro__[1]) as caught:  # what all of LiteLLM's are
            await streamed(double, api_key=KEY)
        assert KEY not in str(caught.value)
        assert len(double.generations) == 1


@pytest.mark.parametrize("scenario", [one for one in PLAIN if one.out], ids=[one.name for one in PLAIN if one.out])
async def test_nor_one_of_a_plain_answer(scenario: Scenario) -> None:
    async with server(fault=lambda _: scenario.does) as double:
        with pytest.raises(litellm.exceptions.APIError.__mro__[1]) as caught:
            await call(double, api_key=KEY)
        assert KEY not in str(caught.value)
        assert len(double.generations) == 1


KINDS = {
    "429 with Retry-After": litellm.RateLimitError,
    "503": litellm.ServiceUnavailableError,
    "400 for a context too long": litellm.ContextWindowExceededError,
    "400 for a parameter": litellm.BadRequestError,
    "401": litellm.AuthenticationError,
    "404 for a wrong model": litellm.NotFoundError,
}


@pytest.mark.parametrize("name", KINDS)
async def test_a_refusal_is_litellms_own_error_of_that_kind(name: str) -> None:
    scenario = next(one for one in REFUSALS if one.name == name)
    async with server(fault=lambda _: scenario.does) as double:
        with pytest.raises(KINDS[name]):
            await call(double)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"n": 2}, "one answer a request"),
        ({"logprobs": True}, "has no logprobs"),
        ({"response_format": {"type": "json_object"}}, "has no response_format"),
        ({"api_base": None}, "give the server's address as api_base"),
    ],
    ids=["n", "logprobs", "response_format", "no address"],
)
async def test_what_the_endpoint_has_not_is_refused_and_not_dropped(given: dict[str, Any], said: str) -> None:
    async with server() as double:
        with pytest.raises(litellm.BadRequestError, match=said):
            await call(double, **given)
        assert double.generations == []


async def test_a_router_keeps_a_session_on_its_server_and_leaves_one_that_fails() -> None:
    down = litellm.Router(
        model_list=[
            {"model_name": "think", "litellm_params": {"model": MODEL, "api_base": "http://127.0.0.1:9"}},
        ]
    )
    with pytest.raises(litellm.ServiceUnavailableError, match=r"127\.0\.0\.1:9"):
        await down.acompletion("think", ASKED, num_retries=0)
    down.discard()
    async with server() as first, server() as second:
        entries = [{"model": MODEL, "api_base": double.url, "api_key": KEY} for double in (first, second)]
        router = litellm.Router(
            model_list=[{"model_name": "think", "litellm_params": entry} for entry in entries],
            optional_pre_call_checks=["session_affinity"],
        )
        for run in range(3):
            for _ in range(6):
                await router.acompletion("think", ASKED, metadata={"session_id": f"run {run}"})
        answer = await router.atext_completion(model="think", prompt="Numbers:", max_tokens=4)
        router.discard()
    assert answer.usage.completion_tokens == 4
    sessions = [
        [one.asked.headers.get("x-smg-routing-key") for one in double.generations] for double in (first, second)
    ]
    for run in range(3):
        assert sorted(session.count(f"run {run}") for session in sessions) == [0, 6]


async def test_a_stream_that_is_left_frees_the_server() -> None:
    async with server(" one two" * 100) as double:
        double.serving = Serving(default=" one two" * 100, pause=0.005)
        stream = await call(double, stream=True, max_tokens=300)
        async for _ in stream:
            break
        await stream.aclose()
        while double.generating:  # noqa: ASYNC110  # a server sets no event
            await anyio.sleep(0.001)
        assert double.generations[0].aborted or double.http.left


async def test_programs_without_an_event_loop_get_the_same() -> None:
    async with server() as double:

        def program() -> tuple[Foreign, list[Foreign]]:
            given: dict[str, Any] = {"api_base": double.url, "max_retries": 0}
            return litellm.completion(MODEL, ASKED, **given), list(
                litellm.completion(MODEL, ASKED, stream=True, **given)
            )

        whole, chunks = await anyio.to_thread.run_sync(program)
    assert whole.choices[0].message.content == text_of(chunks) == SAID
    assert tuple(fields(whole.choices[0])["ids"]) == Speaker().script(SAID)
