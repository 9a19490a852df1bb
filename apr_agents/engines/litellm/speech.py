"""What an engine over LiteLLM makes prompts of, by the kind of its deployments: text, chat, or ids."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from apr_agents.context import Context
from apr_agents.engines.base import Message
from apr_agents.engines.litellm.prompts import chat_context, text_context
from apr_agents.engines.tokenizer import ChatFormat, Tokenizer, chat_format, find_tokenizer, read_text
from apr_agents.errors import EngineError


@dataclass(frozen=True, slots=True)
class Files:
    """What the user has of a model's files; None: nothing."""

    tokenizer: str | Path | None = None
    """A `tokenizer.json` or the model's folder."""
    chat_template: str | Path | None = None
    dialects: Sequence[str] | None = None
    """Those that the model was trained on."""


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of the model from its files."""

    form: ChatFormat | None = None
    controls: tuple[str, ...] = ()
    """Its control tokens."""
    ends: tuple[str, ...] = ()
    """How its end of text may be written, the longest first."""
    dialects: tuple[str, ...] = ()
    tokenizer: Tokenizer | None = None

    @property
    def known(self) -> bool:
        """Whether the tokenizer is at hand, so that an end of text can be told from text."""
        return bool(self.ends)


def read_model(files: Files) -> Model:
    """What these files say. Raises EngineUnavailable for one that is not there, or broken."""
    form: ChatFormat | None = None
    controls: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    trained: tuple[str, ...] = ()
    tokenizer: Tokenizer | None = None
    if files.tokenizer is not None:
        file = find_tokenizer(Path(files.tokenizer).expanduser())
        tokenizer, form = Tokenizer(file), chat_format(file.parent)
        controls = tuple(sorted(tokenizer.controls, key=lambda text: (-len(text), text)))
        ends = _ends(file.parent, tokenizer, form)
        config = _settings(file.parent / "config.json")
        trained = tuple(str(config.get("apr_dialect") or "").replace(",", " ").split())
    if files.chat_template is not None:
        template = read_text(Path(files.chat_template).expanduser())
        form = ChatFormat(template, form.variables if form else {})
    return Model(form, controls, ends, trained if files.dialects is None else tuple(files.dialects), tokenizer)


def _ends(folder: Path, tokenizer: Tokenizer, form: ChatFormat | None) -> tuple[str, ...]:
    found = {form.variables.get("eos_token", "") if form else ""}
    for name in ("generation_config.json", "config.json"):
        ids: Any = _settings(folder / name).get("eos_token_id")
        known = cast("list[Any]", ids if isinstance(ids, list) else [ids])
        found |= {tokenizer.decode((token,)) for token in known if isinstance(token, int)}
    return tuple(sorted((text for text in found if text), key=lambda text: (-len(text), text)))


def _settings(file: Path) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def text_prompt(model: Model, name: str, messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
    """A prompt for text completions. Raises EngineError without a chat template."""
    if model.form is None:
        raise EngineError(
            f"{name}: text completions need the model's chat template; give its folder as option tokenizer=FOLDER, or "
            "chat_template=FILE.jinja"
        )
    return text_context(model.form, model.controls, messages, variables)


def chat_prompt(messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
    """A prompt for chats. The template, and what its variables are, is the server's: `variables` are not sent."""
    del variables
    return chat_context(messages)
