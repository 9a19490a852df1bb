"""Branches that are calls: `@name {json arguments}` in an outline, validated and run as a Python function."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from anyio import to_thread

from apr_agents.errors import CallError, UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

MAX_RESULT = 65_536
"""Characters of a result that a join may show."""

_MAX_PROBLEM = 2_000
"""Characters that a join shows of what went wrong."""

_CALL = re.compile(r"@([A-Za-z_][A-Za-z0-9_.-]*)\s*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Caller:
    """The branch that calls a function."""

    run_id: str
    path: str

    @property
    def key(self) -> str:
        """The same when the run is resumed and the call is made once more: for what must not be done twice."""
        return f"{self.run_id}/{self.path}"


_CALLER: ContextVar[Caller | None] = ContextVar("apr_caller", default=None)


def caller() -> Caller | None:
    """Inside a function that an outline called: which branch called it. None anywhere else."""
    return _CALLER.get()


@contextmanager
def called_by(run_id: str, path: str) -> Generator[None]:
    """Functions that are run inside this block are called by this branch."""
    token = _CALLER.set(Caller(run_id, path))
    try:
        yield
    finally:
        _CALLER.reset(token)


@dataclass(frozen=True, slots=True)
class Function:
    """A Python function that a model may call from an outline."""

    name: str
    call: Callable[..., Any]
    """Plain or async; a plain one runs in a worker thread, which cancellation cannot stop."""
    description: str = ""
    seconds: float | None = None
    """How long a call may take, on the engine's clock; then it has failed. None: as long as the run may."""

    def __post_init__(self) -> None:
        if self.seconds is not None and self.seconds <= 0:
            raise UsageError(f"@{self.name}: seconds is {self.seconds:g}; a call needs more than none")

    @classmethod
    def of(cls, call: Callable[..., Any]) -> Function:
        """This function under its own name, described by its docstring. Raises UsageError for one without a name."""
        name = getattr(call, "__name__", "")
        if not _CALL.fullmatch(f"@{name}"):
            raise UsageError(f"{call!r} has no name that a model could call; use Function(name, call)")
        return cls(name, call, inspect.getdoc(call) or "")

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        return self._arguments().model_json_schema(by_alias=True)

    def check(self, arguments: str) -> dict[str, Any]:
        """The validated arguments of this JSON object. Raises CallError that names the argument."""
        from pydantic import ValidationError

        text = arguments or "{}"
        try:
            found = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise CallError(f"@{self.name}: the arguments are not JSON: {_clean(error)}") from error
        if not isinstance(found, dict):
            raise CallError(f"@{self.name}: the arguments must be a JSON object")
        try:
            checked = self._arguments().model_validate_json(text)
        except ValidationError as error:
            problems = (f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors())
            raise CallError(f"@{self.name}: {_clean('; '.join(problems))}") from error
        names = ((field, str(info.alias)) for field, info in type(checked).model_fields.items())
        return {name: getattr(checked, field) for field, name in names if field in checked.model_fields_set}

    async def run(self, arguments: str) -> str:
        """What the function returns for these arguments, as text. Raises CallError, also for what it raised."""
        return _text(self.name, await self.returned(arguments))

    async def returned(self, arguments: str) -> object:
        """What the function returns for these arguments, as it is. Raises CallError, also for what it raised."""
        checked = self.check(arguments)
        try:
            if inspect.iscoroutinefunction(self.call):
                result = await self.call(**checked)
            else:
                result = await to_thread.run_sync(lambda: self.call(**checked), abandon_on_cancel=True)
            if inspect.isawaitable(result):
                result = await result
        except CallError as error:
            raise CallError(f"@{self.name}: {_clean(error)}") from error
        except (Exception, SystemExit) as error:
            one = _leaf(error)
            raise CallError(f"@{self.name} raised {type(one).__name__}: {_clean(one)}") from error
        return result

    def _arguments(self) -> type[BaseModel]:
        """A model with one field for each parameter, by alias: no parameter's name clashes with a model's own."""
        from pydantic import ConfigDict, Field, create_model

        fields: dict[str, Any] = {}
        for place, (name, parameter) in enumerate(self._parameters().items()):
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise UsageError(f"@{self.name}: parameter {name} cannot be given by name")
            default = ... if parameter.default is parameter.empty else parameter.default
            kind = Any if parameter.annotation is parameter.empty else parameter.annotation
            fields[f"parameter_{place}"] = (kind, Field(default, alias=name))
        return create_model(self.name, __config__=ConfigDict(extra="forbid", strict=True), **fields)

    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        try:
            return inspect.signature(self.call, eval_str=True).parameters
        except (NameError, TypeError, ValueError) as error:
            raise UsageError(f"@{self.name}: its parameters cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class Call:
    """A call found in an outline."""

    function: Function
    arguments: str
    """As written, not yet validated."""


def find_call(outline: str, functions: Mapping[str, Function]) -> Call | None:
    """The call that this outline begins with; None when it is sub-reasoning, as for a name that is not allowed."""
    found = _CALL.fullmatch(outline.strip())
    function = functions.get(found[1]) if found else None
    return Call(function, found[2].strip()) if found and function else None


def describe(functions: Mapping[str, Function]) -> str:
    """What a model is told of the functions that it may call."""
    lines = [
        f"@{function.name} {json.dumps(function.schema().get('properties', {}))} {function.description}".rstrip()
        for function in functions.values()
    ]
    return "An outline may call one of these functions, as `@name {json arguments}`:\n" + "\n".join(lines)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _text(name: str, result: object) -> str:
    if result is None:
        return ""
    try:
        text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
        text.encode("utf-8")
    except Exception as error:  # a foreign value may raise anything when it is looked at
        kind = type(result).__name__
        raise CallError(f"@{name} returned a {kind} that is not text or JSON: {_clean(error)}") from error
    if len(text) > MAX_RESULT:
        raise CallError(f"@{name} returned {len(text)} characters; a result may have {MAX_RESULT}")
    return text


def _leaf(error: BaseException) -> BaseException:
    """Of what several tasks raised together, the first: a group by itself says nothing."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


def _clean(problem: object) -> str:
    """What is wrong, as text that every engine can encode and no join is too small for."""
    try:
        text = str(problem)
    except Exception as error:  # a foreign error may not be able to say what it is
        text = f"it cannot say what, for {type(error).__name__}"
    return text[:_MAX_PROBLEM].encode("utf-8", "replace").decode()
