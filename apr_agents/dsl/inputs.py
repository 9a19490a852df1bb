"""What a workflow asks its caller for: names with types and bounds, and the values given for them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, cast

from annotated_types import Ge, Le

from apr_agents.dsl.naming import listed, suggestion
from apr_agents.errors import WorkflowError

Value = int | float | str | tuple[int, ...] | tuple[str, ...]
"""The value of an input."""

MAX_ITEMS = 1_000
MAX_TEXT = 100_000
MAX_DIGITS = 18

_INTEGER = re.compile(rf"-?[0-9]{{1,{MAX_DIGITS}}}")
_NUMBER = re.compile(rf"-?[0-9]{{1,{MAX_DIGITS}}}(\.[0-9]{{1,{MAX_DIGITS}}})?([eE][+-]?[0-9]{{1,3}})?")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

_BOUNDS = {
    "integer": ("min", "max"),
    "number": ("min", "max"),
    "integers": ("min", "max", "length"),
    "text": ("max_length",),
    "texts": ("length", "max_length"),
}
_NOUNS = {
    "integer": "an integer",
    "number": "a number",
}

Items = Annotated[int, Ge(0), Le(MAX_ITEMS)]


@dataclass(frozen=True, slots=True)
class Input:
    """One value that the caller gives."""

    short: ClassVar[str] = "type"

    type: Literal["integer", "integers", "number", "text", "texts"]
    """What kind of value it is; `integers` is a list of whole numbers, given as `26 45 27` or as JSON, and `texts`
    a list of texts, given as one on each line or as JSON."""
    min: int | float | None = None
    """The least value of an integer or a number, or of each of the integers."""
    max: int | float | None = None
    """The greatest value of an integer or a number, or of each of the integers."""
    length: Items | tuple[Items, Items] | None = None
    """How many integers or texts there are: that many, or `[least, most]`; at most 1000 in any case."""
    max_length: Annotated[int, Ge(1), Le(MAX_TEXT)] | None = None
    """The most characters of a text, or of each of the texts; 100000 when not given."""
    default: int | float | str | tuple[int, ...] | tuple[str, ...] | None = None
    """The value when the caller gives none; without it the input is required."""
    description: str = ""
    """For people who give the value."""

    def __post_init__(self) -> None:
        """Raises ValueError for bounds that do not go together, and for a default outside of them."""
        for name in ("min", "max", "length", "max_length"):
            if getattr(self, name) is not None and name not in _BOUNDS[self.type]:
                raise ValueError(f"`{name}` does not bound {self.type}; expected {listed(_BOUNDS[self.type])}")
        for name in ("min", "max"):
            if self.type != "number" and isinstance(getattr(self, name), float):
                raise ValueError(f"`{name}` is {getattr(self, name)}; expected an integer")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` is {self.min} and `max` is {self.max}; expected min <= max")
        if self.items[0] > self.items[1]:
            raise ValueError(f"`length` is {list(self.items)}; expected [least, most]")
        if self.default is not None:
            try:
                self.accept(self.default)
            except ValueError as error:
                raise ValueError(f"`default` {error}") from error

    @property
    def items(self) -> tuple[int, int]:
        """The least and the most items of a list."""
        if self.length is None:
            return 0, MAX_ITEMS
        return (self.length, self.length) if isinstance(self.length, int) else self.length

    @property
    def expected(self) -> str:
        """Such as `3 to 4 integers from 1 to 50`."""
        if self.type == "text":
            return f"a printable text of at most {self.max_length or MAX_TEXT} characters"
        least, most = self.items
        count = f"{least} {self.type}" if least == most else f"{least} to {most} {self.type}"
        if self.type == "texts":
            return f"{count}, each printable and of at most {self.max_length or MAX_TEXT} characters"
        noun = count if self.type == "integers" else _NOUNS[self.type]
        if self.min is not None and self.max is not None:
            return f"{noun} from {self.min} to {self.max}"
        if self.min is not None:
            return f"{noun} of at least {self.min}"
        return noun if self.max is None else f"{noun} of at most {self.max}"

    def accept(self, value: object) -> Value:
        """This value, if it is one of this input's type and within its bounds. Raises ValueError."""
        if isinstance(value, list):
            value = tuple(cast("list[object]", value))
        if not self._fits(value):
            raise ValueError(f"is {_shown(value)}; expected {self.expected}")
        return cast("Value", value)

    def read(self, text: str) -> Value:
        """The value that this text of a command line stands for. Raises ValueError."""
        if self.type == "text":
            return self.accept(text)
        if self.type == "integers":
            return self.accept(_integers(text))
        if self.type == "texts":
            return self.accept(_texts(text))
        word = text.strip()
        if _INTEGER.fullmatch(word):
            return self.accept(int(word))
        return self.accept(float(word) if _NUMBER.fullmatch(word) else text)

    def _fits(self, value: object) -> bool:
        fits = self._is_text if self.type in ("text", "texts") else self._in_bounds
        if self.type not in ("integers", "texts"):
            return fits(value)
        if not isinstance(value, tuple):
            return False
        items = cast("tuple[object, ...]", value)
        return self.items[0] <= len(items) <= self.items[1] and all(map(fits, items))

    def _is_text(self, value: object) -> bool:
        limit = self.max_length or MAX_TEXT
        return isinstance(value, str) and len(value) <= limit and not _UNPRINTABLE.search(value)

    def _in_bounds(self, value: object) -> bool:
        kinds = (int, float) if self.type == "number" else (int,)
        if isinstance(value, bool) or not isinstance(value, kinds) or not abs(value) < 10**MAX_DIGITS:
            return False
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


def bind_inputs(inputs: Mapping[str, Input], given: Mapping[str, object]) -> dict[str, Value]:
    """A value for each input, from Python objects. Raises WorkflowError with one line for each that cannot be."""
    return _bound(inputs, given, Input.accept)


def read_inputs(inputs: Mapping[str, Input], pairs: Iterable[str]) -> dict[str, Value]:
    """A value for each input, from `NAME=VALUE` texts. Raises WorkflowError with one line for each that cannot be."""
    given: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise WorkflowError((f"input {_shown(pair)}: expected NAME=VALUE",))
        if name in given:
            raise WorkflowError((f"input {name}: given twice",))
        given[name] = value
    return _bound(inputs, given, lambda one, value: one.read(str(value)))


def _bound(
    inputs: Mapping[str, Input], given: Mapping[str, object], convert: Callable[[Input, object], Value]
) -> dict[str, Value]:
    there_are = f"this workflow has {listed(inputs)}" if inputs else "this workflow has no inputs"
    problems = [
        f"input {_shown(name)}: unknown{suggestion(name, inputs)}; {there_are}" for name in given if name not in inputs
    ]
    values: dict[str, Value] = {}
    for name, one in inputs.items():
        if name in given:
            try:
                values[name] = convert(one, given[name])
            except ValueError as error:
                problems.append(f"input {name}: {error}")
        elif one.default is not None:
            values[name] = one.default
        else:
            problems.append(f"input {name}: missing; expected {one.expected} ({there_are})")
    if problems:
        raise WorkflowError(tuple(problems))
    return values


def _integers(text: str) -> object:
    """The list that this text is; the text itself where it is none."""
    words = text.split(maxsplit=MAX_ITEMS)
    if all(_INTEGER.fullmatch(word) for word in words):
        return tuple(map(int, words))
    found = _json_list(text)
    return text if found is None else found


def _texts(text: str) -> object:
    """The list that this text is as JSON; else its lines, but for empty ones."""
    found = _json_list(text)
    return [line for line in text.splitlines() if line.strip()] if found is None else found


def _json_list(text: str) -> list[object] | None:
    try:
        found: object = json.loads(text) if text.lstrip().startswith("[") else None
    except (ValueError, RecursionError):
        return None
    return cast("list[object]", found) if isinstance(found, list) else None


def _shown(value: object) -> str:
    shown = repr(list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."
