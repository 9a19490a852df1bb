"""Where a SGLang engine's ids come from: the model's own tokenizer file, or the server's endpoints for it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from apr_agents.context import Context
from apr_agents.engines import chat_template
from apr_agents.engines.base import Message
from apr_agents.engines.sglang.client import Address, as_object, message_of
from apr_agents.engines.tokenizer import ChatFormat, Tokenizer
from apr_agents.errors import EngineError

SECONDS = 10.0
"""For one answer about tokens."""
_TAG_LIKE = re.compile(r"<(?=[^\s<>])|\[(?=[A-Z/_])")
"""Where a control token may begin."""


class Tokens(Protocol):
    """Text to ids and back, and messages to a prompt."""

    def encode(self, text: str, *, control: bool) -> tuple[int, ...]: ...

    def decode(self, ids: tuple[int, ...]) -> str: ...

    def prompt(self, messages: Sequence[Message], variables: Mapping[str, str]) -> Context: ...


class LocalTokens:
    """A tokenizer file and a chat template at hand."""

    def __init__(self, tokenizer: Tokenizer, form: ChatFormat | None) -> None:
        self.tokenizer = tokenizer
        self._form = form

    def encode(self, text: str, *, control: bool) -> tuple[int, ...]:
        return self.tokenizer.encode(text, control=control)

    def decode(self, ids: tuple[int, ...]) -> str:
        return self.tokenizer.decode(ids)

    def prompt(self, messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
        """The messages in the model's chat template. Raises EngineError when it has none, or cannot be rendered."""
        if self._form is None:
            raise EngineError(
                f"{self.tokenizer.file.parent} has no chat template; give one as option chat_template=FILE.jinja"
            )
        return _rendered(self, self._form, messages, variables)


class RemoteTokens:
    """The server's `/tokenize` and `/detokenize`: a round trip for each new text, in which the program waits.

    Its mutable state is its connection, and the ids and texts that it was told.
    """

    def __init__(self, address: Address, model: str, *, prefix: str = "", form: ChatFormat | None = None) -> None:
        """`prefix`: of the two paths, `/v1` behind a router. `form`: None: the server's own chat template."""
        self._address = address
        self._model = model
        self._prefix = prefix
        self._form = form
        self._connection: HTTPConnection | None = None
        self._ids: dict[str, tuple[int, ...]] = {}
        self._texts: dict[tuple[int, ...], str] = {}

    def encode(self, text: str, *, control: bool) -> tuple[int, ...]:
        """The ids of this text. Raises EngineError for plain text in which the server sees a control token."""
        if control:
            return self._encode(text)
        # A control token that is cut behind its first character is none.
        cuts = [0, *(found.start() + 1 for found in _TAG_LIKE.finditer(text)), len(text)]
        parts = (self._encode(text[start:end]) for start, end in pairwise(cuts) if start < end)
        ids = tuple(token for part in parts for token in part)
        if ids and self._decode(ids, skip=True) != self._decode(ids, skip=False):
            raise EngineError(
                f"{self._address.url}: the text {text[:40]!r} holds a control token of the model; take it out, "
                "or give the model's folder as option tokenizer"
            )
        return ids

    def decode(self, ids: tuple[int, ...]) -> str:
        if ids not in self._texts:
            text = self._decode(ids, skip=False)
            if len(ids) > 1:
                return text
            self._texts[ids] = text
        return self._texts[ids]

    def prompt(self, messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
        """The messages in the server's own chat template. Raises EngineError when it cannot be followed."""
        if self._form is not None:
            return _rendered(self, self._form, messages, variables)
        if self._prefix:
            raise EngineError(
                f"{self._address.url}: a router does not apply the model's chat template; give the model's folder as "
                "option tokenizer, or the template as option chat_template=FILE.jinja"
            )

        def write(shown: Sequence[Mapping[str, str]]) -> str:
            asked: dict[str, object] = {"messages": list(shown), "chat_template_kwargs": dict(variables)}
            return self._decode(tuple(self._ask("/tokenize", asked)["tokens"]), skip=False)

        parts = chat_template.render_by(write, messages, variables)
        return chat_template.place_messages(parts, self.encode)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _encode(self, text: str) -> tuple[int, ...]:
        known = self._ids.get(text)
        if known is None:
            answer = self._ask("/tokenize", {"prompt": text, "add_special_tokens": False})
            known = tuple(cast("list[int]", answer["tokens"]))
            if len(text) <= 64:  # headers and tags come again and again
                self._ids[text] = known
        return known

    def _decode(self, ids: tuple[int, ...], *, skip: bool) -> str:
        return str(self._ask("/detokenize", {"tokens": list(ids), "skip_special_tokens": skip})["text"])

    def _ask(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        text = json.dumps({"model": self._model, **body}).encode()
        headers = {"Content-Type": "application/json", **self._address.headers}
        try:
            connection = self._connected()
            connection.request("POST", urlsplit(self._address.url).path + self._prefix + path, text, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, HTTPException) as error:
            self.close()
            raise EngineError(f"{self._address.url}: {path} does not answer ({error}); is the server up?") from error
        if response.status != 200:
            raise EngineError(f"{self._address.url}: {path}: status {response.status}: {message_of(answer)}")
        return as_object(answer)

    def _connected(self) -> HTTPConnection:
        if self._connection is None:
            parts = urlsplit(self._address.url)
            kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
            self._connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
        return self._connection


def _rendered(tokens: Tokens, form: ChatFormat, messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
    parts = chat_template.render(form.template, messages, {**form.variables, **variables}, today=date.today())
    return chat_template.place_messages(parts, tokens.encode)


def model_folder(tokenizer: str | Path | None, told: str) -> Path | None:
    """The folder or file to read: the one given, else the server's own where this machine has it; None: it has not."""
    if tokenizer is not None:
        return Path(tokenizer).expanduser()
    if (Path(told) / "tokenizer.json").is_file():
        return Path(told)
    return _downloaded(told)


def _downloaded(name: str) -> Path | None:
    """The folder of a model of this name that was downloaded to this machine before; nothing is downloaded here."""
    # Comes with package tokenizers.
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        file = try_to_load_from_cache(name, "tokenizer.json")
    except HFValidationError:  # a path on another machine
        return None
    return Path(file).parent if isinstance(file, str) else None
