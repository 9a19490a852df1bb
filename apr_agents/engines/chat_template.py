"""Chat templates, rendered so that it is known which characters are the template's and which a message's.

Each message goes through the template as a code word of its own; where the code word comes out, the message's text
belongs. So only the template can write control tags. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from typing import Any, cast

from jinja2.exceptions import SecurityError, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Message
from apr_agents.errors import EngineError
from apr_agents.glue import Encode

MAX_SOURCE = 256 * 1024
"""Characters of a template."""
MAX_OUTPUT = 4 * 1024 * 1024
"""Characters that a template may write by itself, messages not counted."""
MAX_CALLS = 100_000
"""Calls that a template may make."""
_MAX_PRODUCT = 1_000_000
_FRAGMENT = 10


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a prompt."""

    text: str
    control: bool
    """Whether the template wrote it: control tags in it are control. Otherwise it is a message's, plain text."""


def render(
    template: str, messages: Sequence[Message], variables: Mapping[str, str], *, today: date | None = None
) -> tuple[Part, ...]:
    """The prompt that a template makes of these messages, up to where the answer begins, in order.

    `variables` are the template's to test and to write, as its own. `today` is what it takes for the current date
    (None: the epoch). Raises EngineError when the template is broken, refuses the messages, or alters their text in a
    way that cannot be followed.
    """
    if len(template) > MAX_SOURCE:
        raise EngineError(f"the chat template has {len(template)} characters, more than {MAX_SOURCE}; use another one")
    codes = _Codes(template, messages, variables)
    environment = _Environment(codes, today or date.fromtimestamp(0))
    values = {**variables, "messages": codes.shown(messages), "add_generation_prompt": True}
    written: list[str] = []
    size = 0
    try:
        for piece in environment.from_string(template).generate(values):
            size += len(piece)
            if size > MAX_OUTPUT:
                raise EngineError(f"the chat template writes more than {MAX_OUTPUT} characters; use another one")
            written.append(piece)
    except (TemplateError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        if isinstance(error, EngineError):
            raise
        raise EngineError(f"the chat template failed: {' '.join(str(error).split())[:200]}") from error
    return codes.uncover("".join(written))


def render_by(
    write: Callable[[Sequence[Mapping[str, str]]], str], messages: Sequence[Message], variables: Mapping[str, str]
) -> tuple[Part, ...]:
    """The same with a template that is somewhere else: `write` gives the text that it makes of role and content.

    Raises EngineError when it alters a message's text in a way that cannot be followed.
    """
    codes = _Codes("", messages, variables)
    return codes.uncover(write(codes.shown(messages)))


def place_messages(parts: Sequence[Part], encode: Encode) -> Context:
    """A prompt's parts as a context: a message's text is plain, all else control."""
    return Context.of(*(Segment(part.text, encode(part.text, control=part.control), Origin.client) for part in parts))


class _Codes:
    """The code words that stand for the messages' texts."""

    def __init__(self, template: str, messages: Sequence[Message], variables: Mapping[str, str]) -> None:
        self._contents = [message.content.strip() for message in messages]
        known = "\0".join((template, *variables.values(), *self._contents))
        # Mixed case and no digit at the ends, so that a template that changes case or cuts is found out.
        self._word = "qXz" + blake2b(known.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest() + "ZxQ"
        self._pattern = re.compile(f"{self._word}([0-9]{{6}})([RJ]){self._word}")

    def _code(self, number: int, kind: str) -> str:
        return f"{self._word}{number:06d}{kind}{self._word}"

    def cover(self, number: int, content: str) -> str:
        """A content with all but the white space around it replaced, so that templates can trim and test it."""
        return content.replace(content.strip(), self._code(number, "R"), 1) if content.strip() else content

    def shown(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        """The messages as a template sees them."""
        return [{"role": message.role, "content": self.cover(n, message.content)} for n, message in enumerate(messages)]

    def to_json(self, value: object, indent: int | None = None) -> str:
        """The filter `tojson`; a content in it will be escaped as JSON escapes it."""
        return self._pattern.sub(
            lambda found: self._code(int(found[1]), "J"), json.dumps(value, ensure_ascii=False, indent=indent)
        )

    def uncover(self, text: str) -> tuple[Part, ...]:
        """The text in parts, the contents back in their places."""
        parts: list[Part] = []
        start = 0
        for found in self._pattern.finditer(text):
            parts += [Part(text[start : found.start()], control=True), Part(self._content(found), control=False)]
            start = found.end()
        parts.append(Part(text[start:], control=True))
        own = "\0".join(part.text for part in parts if part.control).casefold()
        word = self._word.casefold()
        if word[:_FRAGMENT] in own or word[-_FRAGMENT:] in own:
            raise EngineError("the chat template cuts or rewrites a message's text; use a template that only places it")
        return tuple(part for part in parts if part.text)

    def _content(self, found: re.Match[str]) -> str:
        content = self._contents[int(found[1])]
        return content if found[2] == "R" else json.dumps(content, ensure_ascii=False)[1:-1]


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox that chat templates are written for, with bounds on what one may spend."""

    intercepted_binops = frozenset(("*", "**"))

    def __init__(self, codes: _Codes, today: date) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        self._calls = 0
        self.filters["tojson"] = codes.to_json
        own: dict[str, Any] = {
            "raise_exception": _raise_exception,
            "strftime_now": lambda form="": today.strftime(form),
        }
        self.globals.update(own)

    def call(self, *args: object, **kwargs: object) -> object:
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise SecurityError(f"it makes more than {MAX_CALLS} calls")
        return super().call(*args, **kwargs)  # type: ignore[arg-type]  # Jinja's own signature is narrower

    def call_binop(self, context: object, operator: str, left: object, right: object) -> object:
        if operator == "**" or _large(left) or _large(right):
            raise SecurityError(f"the operator {operator} is refused for operands this large")
        return super().call_binop(context, operator, left, right)  # type: ignore[arg-type]  # Jinja's own signature is narrower


def _large(operand: object) -> bool:
    size = len(cast("Sized", operand)) if isinstance(operand, str | list | tuple) else operand
    return isinstance(size, int | float) and abs(size) > _MAX_PRODUCT


def _raise_exception(message: str) -> None:
    raise TemplateError(str(message))
