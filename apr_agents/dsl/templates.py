"""References in an author's text: `${name}` is the value of that name, `${name.key}` and `${name.0}` are parts of it,
`$${` is `${` itself, all else stands for itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from apr_agents.dsl.naming import listed, suggestion
from apr_agents.dsl.parts import Data
from apr_agents.dsl.values import Value, as_text, part_of
from apr_agents.errors import WorkflowError

MAX_RENDERED = 1_000_000
"""Characters of a text with its references filled in: a long value may be referred to often."""

_SPECIAL = re.compile(r"\$\$\{|\$\{(?P<name>[^{}\n]*)\}|\$\{")
_ONE = re.compile(r"\$\{([^{}\n]*)\}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A place that a value takes."""

    name: str | None
    """With the parts that are taken of it: `best.0`. None: its brace is never closed."""

    @property
    def root(self) -> str:
        """The name of the whole value."""
        return (self.name or "").partition(".")[0]


def pieces(text: str) -> Iterator[str | Reference]:
    """The text as literal pieces and references, in order."""
    end = 0
    for found in _SPECIAL.finditer(text):
        yield text[end : found.start()]
        yield "${" if found[0] == "$${" else Reference(found["name"])
        end = found.end()
    yield text[end:]


def sole_reference(text: str) -> str | None:
    """What stands in a text that is one reference and nothing else."""
    found = _ONE.fullmatch(text)
    return found[1] if found else None


def misreferences(text: str, names: Collection[str]) -> Iterator[str]:
    """What is wrong with each reference that is to none of these names."""
    there_are = f"expected one of {listed(names)}" if names else "no value has a name here"
    for piece in pieces(text):
        if isinstance(piece, Reference) and piece.name is None:
            yield "`${` is never closed; expected `${name}`, or `$${` for the text itself"
        elif isinstance(piece, Reference) and piece.root not in names:
            name = str(piece.name)[:60]
            yield f"`${{{name}}}` refers to nothing{suggestion(piece.root, names)}; {there_are}"


def value_of(reference: str, values: Mapping[str, Value]) -> Value:
    """The value, or the part of one, that a reference names. Raises WorkflowError for a part that is not there."""
    name, *keys = reference.split(".")
    value = values[name]
    try:
        for key in keys:
            value = part_of(value, key)
    except KeyError as error:
        raise WorkflowError((f"`${{{reference[:60]}}}`: {error.args[0]}",)) from error
    return value


def render(text: str, values: Mapping[str, Value]) -> str:
    """The text with the values in place. Raises WorkflowError when it grows too long, or for a part that is not there;
    KeyError for an unknown name."""
    filled = [
        as_text(value_of(str(piece.name), values)) if isinstance(piece, Reference) else piece for piece in pieces(text)
    ]
    length = sum(map(len, filled))
    if length > MAX_RENDERED:
        raise WorkflowError((f"the text is {length} characters long with its values; expected at most {MAX_RENDERED}",))
    return "".join(filled)


def fill(data: Data, values: Mapping[str, Value]) -> Value:
    """A JSON value with its references in place: text that is one reference is the value itself. Raises as `render`."""
    if isinstance(data, str):
        name = sole_reference(data)
        return render(data, values) if name is None else value_of(name, values)
    if isinstance(data, Mapping):
        return {key: fill(one, values) for key, one in data.items()}
    if isinstance(data, (list, tuple)):
        return [fill(one, values) for one in cast("Sequence[Data]", data)]
    return data
