"""Answers of providers whose wire is not known: asked for plainly, so that HTTP's framing finds what was cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from apr_agents.engines.base import Chunk, Finish, Request, Usage
from apr_agents.engines.litellm.loading import Foreign
from apr_agents.errors import StreamFault

_ENDS: Mapping[str, Literal["stop", "length"]] = MappingProxyType(
    {
        **dict.fromkeys(("stop", "STOP", "end_turn", "stop_sequence", "COMPLETE", "eos", "eos_token"), "stop"),
        **dict.fromkeys(("length", "max_tokens", "MAX_TOKENS"), "length"),
    }
)
"""Finish reasons of whole answers, as providers name them. LiteLLM makes `stop` of most others, errors among them."""


def plain_chunk(response: Foreign, request: Request, where: str) -> Chunk:
    """The one chunk of LiteLLM's own answer. Such a provider is given no stops: the text ends here at the first one.

    Raises StreamFault for an answer that is not whole; it names `where` that came from.
    """
    choices: Sequence[Foreign] = getattr(response, "choices", None) or []
    content = choices[0].message.content if choices else None
    if not isinstance(content, str):
        raise StreamFault("malformed", f"{where}: the answer has no text")
    said = _reason(choices[0])
    if said not in _ENDS:
        raise StreamFault("aborted", f"{where}: the server gave up: finish reason {said!r}", content)
    usage = _usage(getattr(response, "usage", None))
    if not content and not usage.generated:
        raise StreamFault("malformed", f"{where}: the answer is empty")
    hits = [(content.index(stop) + len(stop), stop) for stop in request.stops if stop in content]
    if hits:
        end, stop = min(hits)
        return Chunk(content[:end], None, Finish("stop", stop, usage))
    return Chunk(content, None, Finish(_ENDS[said], None, usage))


def _reason(choice: Foreign) -> str:
    """Why it ended by the provider's own word, where LiteLLM put another in its place."""
    own: Mapping[str, Any] = getattr(choice, "provider_specific_fields", None) or {}
    return str(own.get("native_finish_reason") or choice.finish_reason)


def _usage(usage: Foreign) -> Usage:
    details = getattr(usage, "prompt_tokens_details", None)
    return Usage(
        int(getattr(usage, "prompt_tokens", 0) or 0),
        getattr(details, "cached_tokens", None),
        int(getattr(usage, "completion_tokens", 0) or 0),
    )
