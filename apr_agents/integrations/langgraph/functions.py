"""What outlines may call inside a graph: tools, plain functions, coroutines and compiled graphs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, cast, get_type_hints

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.errors import GraphBubbleUp
from pydantic import BaseModel, create_model
from pydantic_core import SchemaError

from apr_agents.errors import UsageError
from apr_agents.integrations.langchain import as_function
from apr_agents.runner import Function

Callee = Function | BaseTool | Runnable[Any, Any] | Callable[..., Any]
"""What may stand behind a name."""


class Bubbled(BaseException):
    """Carries what LangGraph raises to itself, such as an interrupt, past all that makes outcomes of errors."""

    def __init__(self, bubble: GraphBubbleUp) -> None:
        super().__init__(bubble)
        self.bubble = bubble


def functions_of(callees: Mapping[str, Callee] | Sequence[Callee]) -> dict[str, Function]:
    """These as functions by name. A mapping gives the names; a sequence takes each one's own.

    A compiled graph, or any other runnable, is called with its input's fields as arguments; what it returns is text, a
    message, or a state whose last message, or whole, is shown. Raises UsageError for a name that is there twice.
    """
    if isinstance(callees, Mapping):
        named = [replace(_function(callee), name=name) for name, callee in callees.items()]
    else:
        named = [_function(callee) for callee in callees]
    found: dict[str, Function] = {}
    for function in named:
        if function.name in found:
            raise UsageError(f"two functions are named @{function.name}")
        found[function.name] = replace(function, call=_guarded(function.call))
    return found


def _function(callee: Callee) -> Function:
    if isinstance(callee, Runnable) and not isinstance(callee, BaseTool):
        return _graph(cast("Runnable[Any, Any]", callee))
    return as_function(callee)


def _graph(runnable: Runnable[Any, Any]) -> Function:
    """A runnable as a tool, its input's fields as arguments."""
    name = runnable.get_name().replace(" ", "_")
    told = inspect.getdoc(runnable) if type(runnable).__doc__ != runnable.__doc__ else ""

    async def answer(**arguments: Any) -> object:
        return _shown(await runnable.ainvoke({key: value for key, value in arguments.items() if value is not None}))

    schema = _arguments_of(runnable, name)
    tool = StructuredTool(name=name, description=told or f"the graph {name}", args_schema=schema, coroutine=answer)
    return as_function(tool)


def _arguments_of(runnable: Runnable[Any, Any], name: str) -> type[BaseModel] | dict[str, Any]:
    """The fields of its input; a list of messages is shown to the model as a text, which graphs take for a question."""
    declared = cast("object", runnable.InputType)
    if not isinstance(declared, type) or not (hints := get_type_hints(declared)):
        return _schema_of(runnable, name)
    needed = getattr(declared, "__required_keys__", hints)
    fields: dict[str, Any] = {
        key: (str if "Message" in str(hint) else hint, ... if key in needed else None) for key, hint in hints.items()
    }
    return create_model(name, **fields)


def _schema_of(runnable: Runnable[Any, Any], name: str) -> type[BaseModel] | dict[str, Any]:
    try:
        return cast("type[BaseModel]", runnable.get_input_schema())
    except SchemaError:  # of a graph on another server, which alone knows its fields
        return {"title": name, "type": "object", "properties": {}, "additionalProperties": True}


def _shown(result: object) -> object:
    """Of a state its last message's text, as LangGraph's own agents are read; anything else as it is."""
    if isinstance(result, Mapping):
        messages: Any = result.get("messages")  # pyright: ignore[reportUnknownVariableType]
        if isinstance(messages, list) and messages and isinstance(messages[-1], BaseMessage):
            return str(messages[-1].text)
    return str(result.text) if isinstance(result, BaseMessage) else result  # pyright: ignore[reportUnknownVariableType]


def _guarded(call: Callable[..., Any]) -> Callable[..., Any]:
    """This call, plain or async as it is, from which an interrupt comes out."""

    @wraps(call)
    async def wait(*positional: Any, **arguments: Any) -> object:
        try:
            return await call(*positional, **arguments)
        except GraphBubbleUp as bubble:
            raise Bubbled(bubble) from bubble

    @wraps(call)
    def block(*positional: Any, **arguments: Any) -> object:
        try:
            return call(*positional, **arguments)
        except GraphBubbleUp as bubble:
            raise Bubbled(bubble) from bubble

    return wait if inspect.iscoroutinefunction(call) else block
