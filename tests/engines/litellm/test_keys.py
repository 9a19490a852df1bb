"""A key goes to its server and nowhere else: no error, trace, report, log or name of an object holds it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from apr_agents import Budget, RunResult, Settings, account, load_dialect, run
from apr_agents.engines.litellm import LiteLLMEngine
from apr_agents.errors import EngineError
from apr_agents.report.json import to_json
from apr_agents.report.text import plain
from tests.engines.faults.transports import LITELLM
from tests.engines.litellm.deploying import QUESTION, at, deployed, script
from tests.support.servers.acts import Act, Answer, Close, End, Head, Send, Whole, dumped, framed
from tests.support.servers.double import Double, Fault, Generation, serving
from tests.support.servers.facts import Serving
from tests.support.servers.saying import Saying
from tests.support.servers.speech import SHIPPED

pytestmark = [pytest.mark.enable_socket, pytest.mark.filterwarnings(LITELLM)]

KEY = "sk-canary-0815-4711"
MODELS = {
    "text": "text-completion-openai/countdown",
    "chat": "hosted_vllm/countdown",
    "openai-chat": "openai/countdown",
    "plain": "lm_studio/countdown",
    "native": "apr-sglang/countdown",
    "router": "reasoner",
}
Says = Callable[[Generation], Fault]


def status(code: int) -> Says:
    """A refusal that repeats the key, as some servers do."""

    def fault(generation: Generation) -> Fault:
        said = f"wrong key: {generation.asked.headers['authorization']}"
        return lambda _: [Whole(code, dumped({"error": {"message": said}}))]

    return fault


def event(generation: Generation) -> Fault:
    """The same in the middle of a stream; a plain answer ends there."""

    def acts(answer: Answer) -> Sequence[Act]:
        told = answer.wire.error(f"wrong key: {generation.asked.headers['authorization']}")
        if not answer.streamed:
            return [Whole(200, dumped(told))]
        return [Head(), Send(answer.frames[0]), Send(framed(told)), End()]

    return acts


def cut(generation: Generation) -> Fault:
    return lambda answer: [*([Head(), Send(answer.frames[0])] if answer.streamed else []), Close()]


FAULTS: Mapping[str, Says | None] = {
    "nothing": None,
    "401": status(401),
    "429": status(429),
    "500": status(500),
    "an event": event,
    "a cut": cut,
}


def engine_at(form: str, url: str, saying: Saying) -> LiteLLMEngine:
    extend = saying.native if form in ("native", "router") else saying.openai
    given: dict[str, Any] = {"tokenizer": SHIPPED, "dialects": ["threadweaver"], "extend": extend}
    if form == "router":
        return LiteLLMEngine("reasoner", router=keyed(at(deployed(), [url] * 3)), **given)
    base = url if form == "native" else f"{url}/v1"
    return LiteLLMEngine(MODELS[form], api_base=base, api_key=KEY, **given)


def keyed(config: dict[str, Any]) -> dict[str, Any]:
    for entry in config["model_list"]:
        entry["litellm_params"]["api_key"] = KEY
    return config


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("form", MODELS)
async def test_a_key_is_told_to_its_server_alone(
    form: str, fault: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    says = FAULTS[fault]
    with caplog.at_level(logging.INFO):
        async with (
            serving(Double(Serving(window=2**17), says)) as double,
            engine_at(form, double.url, Saying(script(2), double.speaker)) as engine,
        ):
            result = await run(engine, QUESTION, Settings(load_dialect("threadweaver"), budget=Budget(retries=0)))
            seen = [repr(engine), repr(engine.opened), repr(vars(engine)), *written(result)]
    assert {one.asked.headers["authorization"] for one in double.generations} == {f"Bearer {KEY}"}
    assert (result.ended == "failed") == (says is not None), result.detail
    out, err = capfd.readouterr()
    logged = [str(vars(record)) for record in caplog.records]
    assert [text for text in (*seen, *logged, out, err) if KEY in text] == []


def written(result: RunResult) -> list[str]:
    """All that is kept and shown of a run."""
    report = account(result.trace)
    kept = [str(result.trace.dump()), json.dumps(to_json(report)), plain(report), str(report)]
    return [*kept, str(result), result.detail, *map(str, result.outcomes)]


@pytest.mark.parametrize("form", MODELS)
async def test_an_error_in_opening_holds_no_key(form: str) -> None:
    if form == "plain":
        return  # nothing is asked of a provider whose wire is not known before the first request
    async with serving(Double()) as double:
        url, saying = double.url, Saying({}, double.speaker)
    with pytest.raises(EngineError) as caught:
        async with engine_at(form, url, saying):
            pass
    error: BaseException | None = caught.value
    assert url in str(error)
    while error is not None:
        assert KEY not in f"{error!r} {vars(error)}"
        error = error.__cause__ or error.__context__
