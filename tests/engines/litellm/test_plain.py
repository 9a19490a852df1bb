"""Providers whose wire is not known are asked for plain answers, and what is no whole answer is an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from apr_agents.engines.base import Message, Request
from apr_agents.engines.litellm import LiteLLMEngine
from apr_agents.errors import ContextFull, EngineError, EngineUnavailable, RequestRefused, StreamFault
from apr_agents.paths import BranchPath
from tests.engines.faults.met import TEXT, Met, meet
from tests.engines.faults.scenarios import BEFORE, PLAIN, Scenario
from tests.engines.faults.transports import LITELLM
from tests.support.servers import openai
from tests.support.servers.acts import Act, Answer, Hang, Json, Whole, dumped
from tests.support.servers.double import Double, serving
from tests.support.servers.facts import Serving

pytestmark = [pytest.mark.enable_socket, pytest.mark.filterwarnings(LITELLM)]

OPENAI = openai.Profile("openai", None, matched_end=False, keep_stop="", special=False)
KEY = "sk-canary-4711"
MODELS = ("lm_studio/countdown", "mistral/countdown")
"""One that LiteLLM reaches with OpenAI's client, and one that it reaches with its own."""


def with_choice(**fields: object) -> Callable[[Answer], Sequence[Act]]:
    """A whole answer whose choice says this."""

    def does(answer: Answer) -> Sequence[Act]:
        payload: Json = answer.payloads[0]
        return [Whole(200, dumped({**payload, "choices": [{**payload["choices"][0], **fields}]}))]

    return does


OWN = (
    Scenario("a finish that filters", with_choice(finish_reason="content_filter"), None),
    Scenario("a finish that LiteLLM takes for `stop`", with_choice(finish_reason="MALFORMED_RESPONSE"), None),
    Scenario("a finish `error`", with_choice(finish_reason="error"), None),
    Scenario("no text", with_choice(message={"role": "assistant", "content": None}), None),
    Scenario("no choice", lambda a: [Whole(200, dumped({**a.payloads[0], "choices": []}))], None),
)
FAULTS = [*(scenario for scenario in PLAIN if scenario.out is not None), *OWN]


async def met_with(
    model: str, scenario: Scenario | None, *, seconds: float | None = None, stop: str = "</Thread>"
) -> Met:
    met = Met()
    double = Double(Serving(profile=OPENAI, default=TEXT), (lambda _: met.plays(scenario)) if scenario else None)
    async with serving(double):
        async with LiteLLMEngine(model, api_base=f"{double.url}/v1", api_key=KEY) as engine:
            deadline = None if seconds is None else engine.clock.now() + seconds
            prompt = engine.prompt([Message("user", "Numbers: 1 2 3")], {})
            path = BranchPath.parse("1.2")
            await meet(engine, Request(prompt, 200, (stop,), deadline=deadline, path=path), met)
        # LiteLLM's own client asks once more where a connection ends without a word.
        assert 1 <= len(double.generations) <= (2 if scenario in BEFORE else 1)
        assert double.generations[0].asked.headers["authorization"] == f"Bearer {KEY}"
    return met


@pytest.mark.parametrize("model", MODELS)
async def test_a_whole_answer_ends_at_its_stop_which_is_kept(model: str) -> None:
    met = await met_with(model, None, stop="naïve")
    assert met.error is None
    assert met.text == TEXT.partition("naïve")[0] + "naïve"
    assert met.finish is not None
    assert (met.finish.reason, met.finish.matched) == ("stop", "naïve")
    assert met.finish.usage.prompt > 0


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scenario", FAULTS, ids=[scenario.name for scenario in FAULTS])
async def test_a_fault_is_an_error_in_one_line_that_names_the_model_and_the_branch(
    model: str, scenario: Scenario
) -> None:
    met = await met_with(model, scenario)
    assert met.finish is None, "a fault passed for an answer"
    error = met.error
    assert error is not None
    assert str(error).startswith(f"litellm:{model}: ")
    assert str(error).endswith("(branch 1.2)")
    assert "\n" not in str(error)
    assert KEY not in str(error)
    if scenario.out is not None and scenario.out.status is not None:
        assert isinstance(error, RequestRefused)
        assert (error.status, error.again, error.wait) == (
            scenario.out.status, scenario.out.again, scenario.out.wait
        )  # fmt: skip
    elif scenario.out is not None and scenario.out.kind is ContextFull:
        assert type(error) is ContextFull
    elif scenario in BEFORE or scenario.name.startswith("FIN"):
        assert isinstance(error, (EngineUnavailable, StreamFault))
    else:
        assert isinstance(error, (StreamFault, EngineError))
        assert not error.again, "the answer may have been generated"


@pytest.mark.parametrize("model", MODELS)
async def test_a_hang_ends_at_the_deadline(model: str) -> None:
    met = await met_with(model, Scenario("a hang", lambda _: [Hang()], None), seconds=5.0)
    assert isinstance(met.error, StreamFault)
    assert met.error.fault == "timeout"
