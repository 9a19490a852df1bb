"""The driver as a LangChain chat model: any LangChain program gets parallel reasoning by swapping its model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import asdict
from functools import partial
from types import TracebackType
from typing import Annotated, Any, Self, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, BaseRunManager, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import ConfigDict, Field, SecretStr, SkipValidation, model_validator

from apr_agents.dialects import Dialect
from apr_agents.engines.base import Engine
from apr_agents.errors import UsageError
from apr_agents.integrations.langchain.answering import Sum, chunk_of
from apr_agents.integrations.langchain.asking import Manner, Wishes
from apr_agents.integrations.langchain.functions import as_function, at_home, in_branches
from apr_agents.integrations.langchain.hearing import tell_trace
from apr_agents.integrations.langchain.home import EngineHome
from apr_agents.integrations.langchain.messages import read_messages
from apr_agents.integrations.langchain.structured import json_schema_of, parser_of, read_with_raw, request_for
from apr_agents.integrations.langchain.telling import Asked, Content, atold, told
from apr_agents.runner import Budget, JoinRule, Settings


class ParallelChatModel(BaseChatModel):
    """A chat model whose answers are runs: it forks its reasoning where it decides to, and each one is accounted for.

        with ParallelChatModel(engine="embedded", budget=Budget(branches=8)) as model:
            print(model.invoke("Numbers: 26 45 27 21 Target: 18").text)

    The engine is opened at the first use and kept until `close()`, the end of the `with` block or of the program. A
    message has the answer as its content, tokens as `usage_metadata`, and the report in `response_metadata`. A chunk
    of a stream has its tokens under their branch path in `additional_kwargs["branches"]`, such as `{"1.2": " 26"}`
    (`""` is the run itself); its content is what is certain of the message's. Chunks sum to the message of `invoke`.
    What no chunk can take back is certain: with `content="answer"` that comes whole at the end, since only the end
    says behind which block the answer stands; with `content="text"` as the run's own text grows and blocks join.
    Leaving a stream cancels every branch. A run that fails raises EngineError, the text so far as its `partial`; one
    that comes to a bound is a message with the `finish_reason` `length`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    engine: Annotated[str | Engine | Callable[[], Engine], SkipValidation] = "embedded"
    """A spec such as `embedded` or `sglang:URL`, or a function that makes an engine: the model opens it, in a thread of
    its own, and serves any thread and event loop. Or an engine that is open: it stays on its event loop, where the
    model must be made, and is not closed with it."""
    engine_options: Mapping[str, str] = Field(default_factory=dict, exclude=True, repr=False)
    """Options of an engine given by a spec, such as `threads`."""
    api_key: SecretStr | None = None
    """For an engine on a server; no other looks at it."""
    home: Annotated[EngineHome | None, SkipValidation] = Field(default=None, exclude=True, repr=False)
    """Where the engine lives. Copies of a model share it, and closing one closes it for all."""

    settings: Annotated[Settings | None, SkipValidation] = None
    """How its runs are to go; otherwise `dialect`, `join` and `budget` say so."""
    dialect: Annotated[str | Dialect | None, SkipValidation] = None
    """None: the engine's own."""
    join: Annotated[JoinRule | None, SkipValidation] = None
    budget: Annotated[Budget | None, SkipValidation] = None

    content: Content = "answer"
    """What of a run's text is the message's content: the answer alone, or everything behind the prompt, as joined."""
    stop: list[str] | None = None
    """The run ends where one of these first appears in its own text, outside of blocks; that and the rest is cut."""
    temperature: float | None = None
    """None: as the settings say, otherwise greedy."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Generated tokens of the whole run, all branches together; None: as the budget says."""
    timeout: float | None = Field(default=None, gt=0)
    """Seconds of the whole run; None: as the budget says."""
    seed: int | None = None
    """None: as the settings say, otherwise 0."""
    max_retries: int | None = Field(default=None, ge=0)
    """0: no request is sent again; any other number: as the budget says."""
    streaming: bool = False
    """Whether `invoke` streams to callbacks too."""

    @model_validator(mode="after")
    def _find_home(self) -> Self:
        if self.settings is not None and not self.dialect is self.join is self.budget is None:
            raise UsageError("give settings, or dialect, join and budget, but not both")
        if self.home is None:
            self.home = EngineHome(self.engine, self._options())
        return self

    def _options(self) -> dict[str, str]:
        local = not isinstance(self.engine, str) or self.engine.partition(":")[0] == "embedded"
        key = {} if self.api_key is None or local else {"api_key": self.api_key.get_secret_value()}
        return {**self.engine_options, **key}

    # Lifetime ---------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Cancel what runs and close the engine, unless it was given open; blocks until that is done."""
        self._home.close()

    async def aclose(self) -> None:
        """The same for coroutines."""
        await asyncio.to_thread(self._home.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # Asking -----------------------------------------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        summed = Sum()
        for item in told(self._home, self._asked(messages, stop, kwargs, None, run_manager)):
            summed.add(item)
        return summed.result()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        summed = Sum()
        async for item in atold(
            self._home, self._asked(messages, stop, kwargs, asyncio.get_running_loop(), run_manager)
        ):
            summed.add(item)
        return summed.result()

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with closing(told(self._home, self._asked(messages, stop, kwargs, None, run_manager))) as items:
            yield from map(chunk_of, items)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        asked = self._asked(messages, stop, kwargs, asyncio.get_running_loop(), run_manager)
        async with aclosing(atold(self._home, asked)) as items:
            async for item in items:
                yield chunk_of(item)

    def _asked(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        given: Mapping[str, Any],
        loop: asyncio.AbstractEventLoop | None,
        manager: BaseRunManager | None,
    ) -> Asked:
        """What a run is asked by this call, from code on `loop`. Raises UsageError for what it does not take."""
        rest = {name: value for name, value in given.items() if name not in ("json_schema", "stream")}
        wishes = self._wishes.of_call(rest)
        schema = given.get("json_schema")
        wanted = (request_for(schema),) if schema else ()
        return Asked(
            messages=(*wanted, *read_messages(messages)),
            settings=lambda engine: at_home(in_branches(wishes.over(self._manner.on(engine.info))), loop),
            stops=self.stop or () if stop is None else stop,
            content=self.content,
            hear=partial(tell_trace, manager.handlers, manager.run_id) if manager else lambda _: None,
        )

    @property
    def _home(self) -> EngineHome:
        assert self.home is not None  # noqa: S101  # the validator has made it
        return self.home

    @property
    def _manner(self) -> Manner:
        return Manner(self.settings, self.dialect, self.join, self.budget)

    @property
    def _wishes(self) -> Wishes:
        return Wishes(self.temperature, self.max_tokens, self.timeout, self.seed, self.max_retries)

    # Tools and values -------------------------------------------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """This model with tools that its outlines may call, `@name {json}`.

        The run calls them itself, at the same time as its other branches, and goes on with their results: a message
        holds no `tool_calls`, and a loop that waits for some ends at once. Raises UsageError for a tool that nothing
        here can run, such as a schema alone, and for a `tool_choice` that would force a call: the model decides.
        """
        if tool_choice not in (None, "auto"):
            raise UsageError(
                f"tool_choice={tool_choice!r}: the model decides itself what its outlines call; leave it out"
            )
        return self.bind(tools=tuple(as_function(cast("Any", tool)) for tool in tools), **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """This model, its answers read as values of a schema: a pydantic class gives objects, anything else dicts.

        The model is shown the schema and may still write something else: no token is withheld from it, whatever
        `method` and `strict` say. An answer that cannot be read raises OutputParserException, or with `include_raw` is
        the `parsing_error` beside `raw` and `parsed`.
        """
        unknown = sorted(kwargs.keys() - {"method", "strict"})
        if unknown:
            raise UsageError(f"{unknown[0]}: with_structured_output takes schema, method, strict and include_raw")
        shown = json_schema_of(schema)
        format_ = {"kwargs": {"method": "json_mode"}, "schema": shown}
        answers = self.bind(json_schema=shown, ls_structured_output_format=format_)
        return read_with_raw(answers, parser_of(schema)) if include_raw else answers | parser_of(schema)

    # What LangChain asks of a model -----------------------------------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return "apr-agents"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """What its answers depend on, without the key: traces show it, and caches tell models apart by it."""
        given = {name: value for name, value in self.engine_options.items() if name != "api_key"}
        wishes = {name: value for name, value in asdict(self._wishes).items() if name != "tools"}
        return {
            "model_name": self._home.name,
            "engine_options": given,
            "manner": repr(self._manner),
            "content": self.content,
            **wishes,
            "stop": self.stop,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider="apr-agents", ls_model_name=kwargs.get("model") or self._home.name, ls_model_type="chat"
        )
        if self.temperature is not None:
            params["ls_temperature"] = self.temperature
        if self.max_tokens is not None:
            params["ls_max_tokens"] = self.max_tokens
        stops = stop or self.stop
        if stops:
            params["ls_stop"] = stops
        return params

    def get_token_ids(self, text: str) -> list[int]:
        """The ids of this text, as plain text, by the engine's own tokenizer, which opens the engine.

        Raises UsageError on engines that speak text only.
        """
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        ids = self._home.ask(lambda engine: engine.encode(text, control=False))
        if ids is None:
            raise UsageError(
                f"the engine {self._home.name} speaks text only; give custom_get_token_ids to count tokens"
            )
        return list(ids)
