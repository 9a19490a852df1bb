"""LangChain's own standard tests of chat models, over llama.cpp with random weights and over a script.

There are none of tools: this package makes no LangChain tools, it only calls those of others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from apr_agents import Budget
from apr_agents.integrations.langchain import EngineHome, ParallelChatModel
from tests.integrations.langchain.speaking import by_request, random_engine, scripted

_Details = Literal["audio_input", "audio_output", "reasoning_output", "cache_read_input", "cache_creation_input"]
NO_JSON = "random weights write no JSON, and no token is withheld from a model"


@pytest.fixture(scope="module")
def scripted_home() -> Iterator[EngineHome]:
    home = EngineHome(scripted(by_request))
    yield home
    home.close()


@pytest.fixture(scope="module")
def random_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineHome]:
    home = EngineHome(lambda: random_engine(tmp_path_factory.mktemp("random")))
    yield home
    home.close()


class Declared:
    """What the model can and cannot; the rest is as the standard tests take it to be."""

    home: EngineHome

    @property
    def chat_model_class(self) -> type[ParallelChatModel]:
        return ParallelChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"home": self.home, "budget": Budget(tokens=64)}

    @property
    def has_tool_calling(self) -> bool:
        """It calls tools itself, from outlines, and so gives no `tool_calls` back."""
        return False

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        """An engine serves one model."""
        return False

    @property
    def supported_usage_metadata_details(self) -> dict[Literal["invoke", "stream"], list[_Details]]:
        return {"invoke": ["cache_read_input"], "stream": ["cache_read_input"]}

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        model = self.chat_model_class(**self.chat_model_params)
        model.invoke("Hello once")
        if not stream:
            return model.invoke("Hello once")
        chunks = list(model.stream("Hello once"))
        return sum(chunks[1:], start=chunks[0])  # type: ignore[return-value]


class OnScript(Declared):
    @pytest.fixture(autouse=True)
    def _at_home(self, scripted_home: EngineHome) -> None:
        self.home = scripted_home


class OnRandomWeights(Declared):
    @pytest.fixture(autouse=True)
    def _at_home(self, random_home: EngineHome) -> None:
        self.home = random_home


class TestScriptedUnit(OnScript, ChatModelUnitTests):
    pass


class TestScripted(OnScript, ChatModelIntegrationTests):
    pass


class TestRandomUnit(OnRandomWeights, ChatModelUnitTests):
    pass


class TestRandom(OnRandomWeights, ChatModelIntegrationTests):
    @pytest.mark.xfail(reason=NO_JSON, raises=OutputParserException)
    @pytest.mark.parametrize("schema_type", ["pydantic", "typeddict", "json_schema"])
    def test_structured_output(
        self, model: BaseChatModel, schema_type: Literal["pydantic", "typeddict", "json_schema"]
    ) -> None:
        super().test_structured_output(model, schema_type)

    @pytest.mark.xfail(reason=NO_JSON, raises=OutputParserException)
    @pytest.mark.parametrize("schema_type", ["pydantic", "typeddict", "json_schema"])
    async def test_structured_output_async(
        self, model: BaseChatModel, schema_type: Literal["pydantic", "typeddict", "json_schema"]
    ) -> None:
        await super().test_structured_output_async(model, schema_type)

    @pytest.mark.xfail(reason=NO_JSON, raises=OutputParserException)
    def test_structured_output_pydantic_2_v1(self, model: BaseChatModel) -> None:
        super().test_structured_output_pydantic_2_v1(model)

    @pytest.mark.xfail(reason=NO_JSON, raises=OutputParserException)
    def test_structured_output_optional_param(self, model: BaseChatModel) -> None:
        super().test_structured_output_optional_param(model)

    @pytest.mark.xfail(reason=NO_JSON, raises=OutputParserException)
    def test_json_mode(self, model: BaseChatModel) -> None:
        super().test_json_mode(model)
