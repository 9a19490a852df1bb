"""What tests supply to the workflows that they play: replies in virtual time, and a function."""

from __future__ import annotations

from apr_agents.engines.scripted import Reply

BROKEN = {"b": Reply("half", error="lost")}


def late(text: str, seconds: float) -> Reply:
    """One word, thus two tokens, in this many virtual seconds."""
    return Reply(text, token_seconds=seconds / 2)


def add(one: int, other: int) -> int:
    return one + other
