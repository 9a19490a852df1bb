"""LangChain's tools as functions that outlines may call."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, cast

from anyio import to_thread
from langchain_core.messages import BaseMessage
from langchain_core.runnables.config import RunnableConfig, var_child_runnable_config
from langchain_core.tools import BaseTool, StructuredTool, Tool
from langchain_core.utils.json_schema import dereference_refs
from pydantic import BaseModel, ValidationError

from apr_agents.errors import CallError, UsageError
from apr_agents.integrations.langchain.seen import IN_BRANCH, IN_RUN
from apr_agents.runner import Function, Settings
from apr_agents.runner.calls import caller


def as_function(
    tool: BaseTool | Callable[..., Any] | type | Mapping[str, Any] | Function, *, seconds: float | None = None
) -> Function:
    """This tool as a function that an outline may call, `@name {json arguments}`; `seconds`: how long a call may take.

    A LangChain tool keeps its name, description and schema, and validates its arguments itself; a Python function has
    those of its signature and docstring. The result is made text; what a tool raises is the outcome of its branch.
    Raises UsageError for what cannot be run here: a schema alone, such as a pydantic class or a dict.
    """
    if isinstance(tool, type | Mapping):
        name = tool.__name__ if isinstance(tool, type) else repr(cast("object", tool))[:60]
        raise UsageError(f"{name} is a schema, which nothing can run; give a tool or a function")
    if isinstance(tool, BaseTool):
        return ToolFunction(
            name=tool.name, call=_caller(tool), description=tool.description, seconds=seconds, tool=tool
        )
    function = tool if isinstance(tool, Function) else Function.of(tool)
    return function if seconds is None else replace(function, seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFunction(Function):
    """A LangChain tool that a model may call from an outline."""

    tool: BaseTool

    def schema(self) -> dict[str, Any]:
        return schema_of(self.tool)

    def check(self, arguments: str) -> dict[str, Any]:
        """The arguments of this JSON object, as the tool takes them. Raises CallError that names the argument."""
        try:
            found: Any = json.loads(arguments or "{}", parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise CallError(f"@{self.name}: the arguments are not JSON: {error}") from error
        if not isinstance(found, dict):
            raise CallError(f"@{self.name}: the arguments must be a JSON object")
        given = cast("dict[str, Any]", found)
        problem = problem_of(given, self.tool)
        if problem:
            raise CallError(f"@{self.name}: {problem}")
        return given


def problem_of(arguments: Mapping[str, Any], tool: BaseTool) -> str:
    """What this tool's schema finds wrong with arguments, in one line that names them; empty when nothing is."""
    schema = schema_of(tool)
    known = schema.get("properties", {})
    unknown = [name for name in arguments if name not in known]
    if unknown and not schema.get("additionalProperties"):
        return f"{unknown[0]}: there is {', '.join(known) or 'no argument'}"
    missing = [name for name in schema.get("required", ()) if name not in arguments]
    if missing:
        return f"{missing[0]}: this argument is required"
    model = tool.tool_call_schema
    if isinstance(model, type) and issubclass(model, BaseModel):
        try:
            model.model_validate(arguments)
        except ValidationError as error:
            found = (f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors())
            return "; ".join(found)
    return ""


def at_home(settings: Settings, home: asyncio.AbstractEventLoop | None) -> Settings:
    """These settings for a run that may go on in another thread: coroutines that outlines call stay on the event loop
    of who asked, where what they use was made."""
    if home is None or home is asyncio.get_running_loop():
        return settings
    moved = {name: replace(one, call=_on(home, one.call)) for name, one in settings.functions.items()}
    return replace(settings, functions=moved)


def in_branches(settings: Settings) -> Settings:
    """These settings, with what outlines call told apart in LangChain's own account by the branch that called it."""
    marked = {name: replace(one, call=_marked(one.call)) for name, one in settings.functions.items()}
    return replace(settings, functions=marked)


def schema_of(tool: BaseTool) -> dict[str, Any]:
    """The JSON Schema of what a model gives this tool; every part of it in its place, no reference to follow."""
    schema = tool.tool_call_schema
    if isinstance(schema, dict):
        found = schema
    else:
        found = schema.model_json_schema() if issubclass(schema, BaseModel) else schema.schema()
    return dereference_refs(found) if "$defs" in found else found


def text_of(result: object) -> object:
    """What a tool returned, its texts taken out of messages and content parts; other values as they are."""
    if isinstance(result, BaseMessage):
        return text_of(cast("object", result.content))
    if isinstance(result, BaseModel):
        try:
            return result.model_dump(mode="json")
        except Exception as error:  # its fields may be anything
            raise CallError(f"it returned a {type(result).__name__} that is not JSON: {error}") from error
    parts = cast("list[object]", result) if isinstance(result, list) else []
    return "".join(map(_part_text, parts)) if any(map(_is_part, parts)) else cast("object", result)


def _caller(tool: BaseTool) -> Callable[..., Any]:
    """Calls the tool: on the event loop where it can, in a worker thread where it can only block."""

    async def wait(**arguments: Any) -> object:
        return text_of(await tool.ainvoke(arguments))

    def block(**arguments: Any) -> object:
        return text_of(tool.invoke(arguments))

    return wait if _waits(tool) else block


def _on(home: asyncio.AbstractEventLoop, call: Callable[..., Any]) -> Callable[..., Any]:
    if not inspect.iscoroutinefunction(call):
        return call

    @wraps(call)
    async def moved(**arguments: Any) -> object:
        # It takes a worker thread's place, so that a virtual clock stands still meanwhile, as it does for threads.
        async with to_thread.current_default_thread_limiter():
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call(**arguments), home))

    return moved


def _marked(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    async def wait(**arguments: Any) -> object:
        with _branch_metadata():
            return await call(**arguments)

    @wraps(call)
    def block(**arguments: Any) -> object:
        with _branch_metadata():
            return call(**arguments)

    return wait if inspect.iscoroutinefunction(call) else block


@contextmanager
def _branch_metadata() -> Generator[None]:
    """What LangChain runs inside has the run and the branch in its metadata."""
    asking, config = caller(), var_child_runnable_config.get() or RunnableConfig()
    mark = {IN_RUN: asking.run_id, IN_BRANCH: asking.path} if asking else {}
    token = var_child_runnable_config.set({**config, "metadata": {**config.get("metadata", {}), **mark}})
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def _waits(tool: BaseTool) -> bool:
    if isinstance(tool, StructuredTool | Tool):
        return tool.coroutine is not None
    return type(tool)._arun is not BaseTool._arun  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no public way to ask


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _is_part(part: object) -> bool:
    return isinstance(part, Mapping) and "type" in cast("Mapping[str, object]", part)


def _part_text(part: object) -> str:
    if isinstance(part, str):
        return part
    found = cast("Mapping[str, object]", part if isinstance(part, Mapping) else {})
    if found.get("type") != "text":
        raise CallError(f"it returned a part of type {found.get('type')!r}; a result is text")
    return str(found.get("text", ""))
