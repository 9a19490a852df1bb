"""References in an author's text: `${name}` is an input's value, `$${` is `${` itself, all else stands for itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from apr_agents.dsl.inputs import Value, as_text
from apr_agents.dsl.naming import listed, suggestion
from apr_agents.errors import WorkflowError

MAX_RENDERED = 1_000_000
"""Characters of a text with its references filled in: a long value may be referred to often."""

_SPECIAL = re.compile(r"\$\$\{|\$\{(?P<name>[^{}\n]*)\}|\$\{")
_ONE = re.compile(r"\$\{([^{}\n]*)\}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A place that an input's value takes."""

    name: str | None
    """None: its brace is never closed."""


def pieces(text: str) -> Iterator[str | Reference]:
    """The text as literal pieces and references, in order."""
    end = 0
    for found in _SPECIAL.finditer(text):
        yield text[end : found.start()]
        yield "${" if found[0] == "$${" else Reference(found["name"])
        end = found.end()
    yield text[end:]


def sole_reference(text: str) -> str | None:
    """The name in a text that is one reference and nothing else."""
    found = _ONE.fullmatch(text)
    return found[1] if found else None


def misreferences(text: str, names: Collection[str]) -> Iterator[str]:
    """What is wrong with each reference that is to none of these names."""
    there_are = f"expected one of {listed(names)}" if names else "the workflow has no inputs"
    for piece in pieces(text):
        if isinstance(piece, Reference) and piece.name is None:
            yield "`${` is never closed; expected `${name}`, or `$${` for the text itself"
        elif isinstance(piece, Reference) and piece.name not in names:
            name = str(piece.name)[:60]
            yield f"`${{{name}}}` refers to no input{suggestion(name, names)}; {there_are}"


def render(text: str, values: Mapping[str, Value]) -> str:
    """The text with the values in place. Raises WorkflowError when it grows too long; KeyError for an unknown name."""
    filled = [as_text(values[str(piece.name)]) if isinstance(piece, Reference) else piece for piece in pieces(text)]
    length = sum(map(len, filled))
    if length > MAX_RENDERED:
        raise WorkflowError((f"the text is {length} characters long with its inputs; expected at most {MAX_RENDERED}",))
    return "".join(filled)
