"""LangChain's messages as the engine's: role and plain text. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage

from apr_agents.engines.base import Message
from apr_agents.errors import UsageError

_Role = Literal["system", "user", "assistant", "tool"]

_ROLES: Final[Mapping[str, _Role]] = {
    "system": "system",
    "developer": "system",
    "human": "user",
    "user": "user",
    "ai": "assistant",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_CALLS: Final = frozenset({"tool_call", "tool_use", "function_call"})
"""Parts in which some providers repeat what is in `tool_calls`."""
_THOUGHTS: Final = frozenset({"reasoning", "thinking", "redacted_thinking"})
"""What another model thought in an earlier turn: no part of the conversation."""


def read_messages(messages: Sequence[BaseMessage]) -> tuple[Message, ...]:
    """These messages, their text as data. Names of speakers are not told: chat templates have no place for them.

    Raises UsageError for a role that there is not, and for a part that is not text.
    """
    if not messages:
        raise UsageError("there are no messages; a model needs one at least")
    return tuple(_read(place, message) for place, message in enumerate(messages, 1))


def _read(place: int, message: BaseMessage) -> Message:
    kind = message.role if isinstance(message, ChatMessage) else message.type.removesuffix("MessageChunk").lower()
    if kind not in _ROLES:
        raise UsageError(f"message {place} has the role {kind!r}; there is {', '.join(_ROLES)}")
    role = _ROLES[kind]
    parts: Sequence[Any] = [message.content] if isinstance(message.content, str) else message.content
    text = "".join(_part_text(place, role, part) for part in parts)
    calls = "\n".join(map(_call_text, message.tool_calls)) if isinstance(message, AIMessage) else ""
    return Message(role, "\n".join(piece for piece in (text, calls) if piece))


def _part_text(place: int, role: str, part: str | Mapping[str, Any]) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type")
    if kind == "text" and isinstance(part.get("text"), str):
        return part["text"]
    if role == "assistant" and kind in _CALLS | _THOUGHTS:
        return ""
    raise UsageError(f"message {place} ({role}) has a part of type {kind!r}; this model reads text only")


def _call_text(call: Mapping[str, Any]) -> str:
    """An earlier call as an outline would write it."""
    return f"@{call['name']} {json.dumps(call['args'], ensure_ascii=False, default=str)}"
