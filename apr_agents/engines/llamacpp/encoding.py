"""Text to exact ids: nothing lost, and nothing in plain text that becomes a control token."""

from __future__ import annotations

from apr_agents.engines.llamacpp.model import Model
from apr_agents.errors import EngineError


def encode(model: Model, text: str, *, control: bool) -> list[int]:
    """The ids of this text; with `control`, control tags in it become control tokens, otherwise none does.

    Raises EngineError when the model's vocabulary lacks a character, or when the text is not Unicode.
    """
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise EngineError(f"the text {text[:40]!r} has a lone surrogate, which no model can read; clean it first")
    ids = model.tokenize(text, control=True) if control else _plain(model, text)
    lost = _lost(text, model.pieces(ids).decode("utf-8", "replace"))
    if control:
        lost = "".join(lost.split())  # a control token may swallow the white space beside it
    if lost:
        raise EngineError(f"{model.path.name} cannot read {lost[:20]!r} in {text[:40]!r}; its vocabulary lacks that")
    return ids


def _plain(model: Model, text: str) -> list[int]:
    """The ids of text in which every tag is cut after its first character, so that it cannot become one token."""
    ids = model.tokenize(text, control=False)
    tag = next((model.text(token) for token in ids if token in model.controls), None)
    if tag is None:
        return ids
    if len(tag.strip()) < 2 or tag.strip() not in text:
        raise EngineError(f"{model.path.name} reads {tag!r} in plain text as a control token; take it out of the text")
    return [token for part in cut(text, tag.strip()) for token in _plain(model, part)]


def cut(text: str, tag: str) -> list[str]:
    """The text in parts, cut behind the first character of each occurrence of `tag`."""
    first, *others = text.split(tag)
    parts = [first]
    for other in others:
        parts[-1] += tag[0]
        parts.append(tag[1:] + other)
    return parts


def _lost(text: str, kept: str) -> str:
    """The characters of `text` that are missing in `kept`, each once."""
    if text == kept:
        return ""
    lost: dict[str, None] = {}
    position = 0
    for character in text:
        if kept.startswith(character, position):
            position += 1
        else:
            lost[character] = None
    return "".join(lost) or text[:1]
