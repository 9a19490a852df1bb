"""A model's own tokenizer, from its `tokenizer.json`: exact ids, with control tokens or with none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from apr_agents.errors import EngineError, EngineUnavailable

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """What a model's folder says of its chat template."""

    template: str
    variables: Mapping[str, str]
    """What the template sees beside the messages: the names of its special tokens."""


class Tokenizer:
    """Text to ids and back, piece by piece: nothing is put before or behind a piece."""

    def __init__(self, file: Path) -> None:
        """`file`: a `tokenizer.json`. Raises EngineUnavailable when it is none, or without package tokenizers."""
        try:
            from tokenizers import Tokenizer as Backend
        except ImportError as error:
            raise EngineUnavailable("package tokenizers is missing: pip install 'apr-agents[sglang]'") from error
        data = _read_json(file)
        if not isinstance(data.get("model"), dict):
            raise EngineUnavailable(f"{file}: not the tokenizer.json of a model")
        added = cast("list[dict[str, Any]]", data.get("added_tokens") or [])
        self.file = file
        self.controls = {str(token["content"]): int(token["id"]) for token in added if str(token["content"]).strip()}
        """The control tokens: text that has one id of its own, whatever stands around it."""
        self._control_ids = frozenset(self.controls.values())
        blank = [token for token in added if not str(token["content"]).strip()]
        joined = _without_prefix(data)
        try:
            self._whole: Backend = Backend.from_str(json.dumps(data))
            self._control: Backend = Backend.from_str(json.dumps(joined))
            self._plain: Backend = Backend.from_str(json.dumps({**joined, "added_tokens": blank}))
        except Exception as error:  # the package raises plain Exception
            raise EngineUnavailable(f"{file}: package tokenizers cannot read it: {error}") from error

    @property
    def size(self) -> int:
        """How many ids there are."""
        return self._control.get_vocab_size(with_added_tokens=True)

    def sample(self, text: str) -> tuple[int, ...]:
        """The ids of a whole text, begun as this tokenizer begins a text, without special tokens around it."""
        return tuple(self._whole.encode(text, add_special_tokens=False).ids)

    def encode(self, text: str, *, control: bool) -> tuple[int, ...]:
        """The ids of this piece of text; with `control`, control tokens in it are such, otherwise none is.

        Raises EngineError for a lone surrogate, and for plain text that cannot be written without a control token.
        """
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise EngineError(f"the text {text[:40]!r} has a lone surrogate, which no model can read; clean it first")
        if control:
            return tuple(self._control.encode(text, add_special_tokens=False).ids)
        return tuple(self._encode_plain(text))

    def _encode_plain(self, text: str) -> Iterator[int]:
        """Plain text's ids; a piece that makes a control token all the same is cut inside it."""
        encoding = self._plain.encode(text, add_special_tokens=False)
        found = next((n for n, token in enumerate(encoding.ids) if token in self._control_ids), None)
        if found is None:
            yield from encoding.ids
            return
        start, end = encoding.offsets[found]
        if end - start < 2:
            raise EngineError(f"{self.file} reads {text[start:end]!r} in plain text as a control token; take it out")
        yield from self._encode_plain(text[: start + 1])
        yield from self._encode_plain(text[start + 1 :])

    def decode(self, ids: tuple[int, ...]) -> str:
        """The text of these tokens, control tokens included."""
        return self._control.decode(list(ids), skip_special_tokens=False)


def chat_format(folder: Path) -> ChatFormat | None:
    """The chat template in a model's folder; None when it has none. Raises EngineUnavailable for a broken file."""
    config = _read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    template: Any = config.get("chat_template")
    if isinstance(template, list):
        named = cast("list[dict[str, Any]]", template)
        template = next((one["template"] for one in named if one.get("name") == "default"), None)
    if (folder / "chat_template.jinja").is_file():
        template = read_text(folder / "chat_template.jinja")
    if not isinstance(template, str):
        return None
    names = {key: _content(value) for key, value in config.items() if key.endswith("_token")}
    return ChatFormat(template, {key: name for key, name in names.items() if name is not None})


def find_tokenizer(path: Path) -> Path:
    """The `tokenizer.json` that a path means: the file itself, or the one in this folder.

    Raises EngineUnavailable when there is none.
    """
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise EngineUnavailable(f"tokenizer {path}: there is no tokenizer.json; name the file or the model's folder")
    return file


def _content(value: object) -> str | None:
    """A special token's text; files give it as text or as an object."""
    if isinstance(value, Mapping):
        value = cast("Mapping[str, object]", value).get("content")
    return value if isinstance(value, str) else None


def _without_prefix(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same tokenizer without the space that some put before each text: a piece is no beginning."""
    return {**data, **{key: _unprefixed(data.get(key)) for key in ("normalizer", "pre_tokenizer")}}


def _unprefixed(part: dict[str, Any] | None) -> dict[str, Any] | None:
    if part is None:
        return None
    if part.get("type") == "Prepend":
        return None
    if part.get("type") == "Metaspace":
        return {**part, "prepend_scheme": "never", "add_prefix_space": False}
    if part.get("type") == "ByteLevel":
        return {**part, "add_prefix_space": False}
    for key in ("normalizers", "pretokenizers"):
        if key in part:
            inner = [_unprefixed(one) for one in part[key]]
            return {**part, key: [one for one in inner if one is not None]}
    return part


def read_text(file: Path) -> str:
    """A file's text. Raises EngineUnavailable that names it."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise EngineUnavailable(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise EngineUnavailable(f"{file}: not UTF-8") from error


def _read_json(file: Path) -> dict[str, Any]:
    text = read_text(file)
    try:
        data = json.loads(text)
    except ValueError as error:
        raise EngineUnavailable(f"{file}: not JSON: {error}") from error
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}
