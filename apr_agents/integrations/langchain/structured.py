"""Answers as values: the model is shown a JSON Schema, and what it answers is read, or refused. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass

from apr_agents.engines.base import Message


def parser_of(schema: Mapping[str, Any] | type) -> BaseOutputParser[Any]:
    """What reads an answer of this schema: as an object of a pydantic class, of any other schema as a dict."""
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return cast("BaseOutputParser[Any]", PydanticOutputParser(pydantic_object=schema))
    return JsonOutputParser()


def read_with_raw(
    answers: Runnable[LanguageModelInput, AIMessage], parser: BaseOutputParser[Any]
) -> Runnable[Any, Any]:
    """Answers as `raw`, `parsed` and `parsing_error`, of which one of the last two is None."""
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    unread = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=answers) | parsed.with_fallbacks([unread], exception_key="parsing_error")


def json_schema_of(schema: Mapping[str, Any] | type) -> dict[str, Any]:
    """The JSON Schema of a pydantic class, a TypedDict, an OpenAI function or a JSON Schema with a title."""
    return convert_to_json_schema(dict(schema) if isinstance(schema, Mapping) else schema)


def request_for(schema: Mapping[str, Any]) -> Message:
    """What the model is told of it."""
    told = "Your answer, the last thing that you write, is one JSON object of this JSON Schema and nothing else:"
    return Message("system", f"{told}\n{json.dumps(schema, ensure_ascii=False)}")
