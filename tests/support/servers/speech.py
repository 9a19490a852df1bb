"""What a server's model says: a script of token ids, cut and shown as SGLang cuts and shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

SHIPPED = Path(__file__).parents[3] / "training" / "countdown-hf"
"""The shipped model as a folder of Hugging Face files; the doubles have its tokenizer and its template."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request wants of the model, whichever wire it came by."""

    prompt: tuple[int, ...]
    limit: int
    script: tuple[int, ...]
    """What the model would say; behind its end the last token again and again."""
    stops: tuple[str, ...] = ()
    stop_ids: tuple[int, ...] = ()
    keep_stop: bool = False
    """Whether the stop, or the end of text, is kept in the text."""
    special: bool = False
    """Whether special tokens are shown."""
    interval: int = 1
    """Tokens of an event."""


@dataclass(frozen=True, slots=True)
class Step:
    """The state of an answer at one event."""

    text: str
    """All of it so far; whole characters only, but for the last step."""
    ids: tuple[int, ...]
    """All of them so far."""
    reason: Literal["stop", "length"] | None = None
    matched: str | int | None = None
    """The stop, as a text or an id; an id for the end of text."""


class Speaker:
    """A model's tokenizer, its template, and its own end of text."""

    def __init__(self, folder: Path = SHIPPED, end: int = 2) -> None:
        self.folder = folder
        self.end = end
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        settings: dict[str, Any] = json.loads((folder / "tokenizer_config.json").read_text())
        self._template = ImmutableSandboxedEnvironment().from_string(settings["chat_template"])
        self._tokens = {key: value for key, value in settings.items() if key.endswith("_token")}

    def render(self, messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]) -> str:
        """These messages in the model's template."""
        return self._template.render(messages=messages, **self._tokens, **variables)

    def chat(self, body: Mapping[str, Any]) -> tuple[int, ...]:
        """The prompt of a chat: an assistant's message that is to be continued is encoded apart, as SGLang does."""
        messages: list[dict[str, Any]] = body["messages"]
        begun = ""
        if body.get("continue_final_message") and messages[-1]["role"] == "assistant":
            *messages, last = messages
            begun = last["content"]
        rendered = self.render(messages, body.get("chat_template_kwargs") or {})
        return (*self.encode(rendered), *self.encode(begun))

    def encode(self, text: str) -> tuple[int, ...]:
        """As a server encodes a text: control tags become control tokens."""
        return tuple(self._tokenizer.encode(text).ids)

    def decode(self, ids: Sequence[int], *, special: bool = True) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=not special)

    def script(self, text: str) -> tuple[int, ...]:
        """The ids that say this text and then the end of text."""
        return (*self.encode(text), self.end)

    def say(self, ask: Ask) -> Iterator[Step]:
        """The answer, token by token. While its end could be the beginning of a stop, no step is shown."""
        if ask.limit == 0:
            yield Step("", (), "length")
        for count in range(1, ask.limit + 1):
            said = ask.script[:count]
            ids = said + said[-1:] * (count - len(said))
            step = self._step(ask, ids)
            if step.reason or not any(_begins(step.text, stop) for stop in ask.stops):
                yield step
            if step.reason:
                return

    def _step(self, ask: Ask, ids: tuple[int, ...]) -> Step:
        last = ids[-1]
        if last == self.end or last in ask.stop_ids:
            shown = ids if ask.keep_stop else ids[:-1]
            return Step(self.decode(shown, special=ask.special), ids, "stop", last)
        text = self.decode(ids, special=ask.special)
        found = min(((text.index(stop), stop) for stop in ask.stops if stop in text), default=None)
        if found is not None:
            at, stop = found
            return Step(text[: at + len(stop) * ask.keep_stop], ids, "stop", stop)
        return Step(text, ids, "length") if len(ids) == ask.limit else Step(text.rstrip("\ufffd"), ids)


def _begins(text: str, stop: str) -> bool:
    return any(text.endswith(stop[:length]) for length in range(1, len(stop)))


_Tree: TypeAlias = "dict[int, _Tree]"


class Cache:
    """Which prefixes were evaluated, as a tree of tokens, which is its mutable state."""

    def __init__(self) -> None:
        self._root: _Tree = {}

    def add(self, ids: Sequence[int]) -> None:
        node = self._root
        for token in ids:
            node = node.setdefault(token, {})

    def matched(self, ids: Sequence[int]) -> int:
        """How many of these tokens are held, the last one never: it is evaluated for what follows it."""
        node, count = self._root, 0
        for token in ids[:-1]:
            if token not in node:
                break
            node, count = node[token], count + 1
        return count
