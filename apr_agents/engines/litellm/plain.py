"""Answers of providers whose wire is not known: asked for plainly, so that HTTP's framing finds what was cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from apr_agents.engines.base import Chunk, Finish, Request, Usage
from apr_agents.engines.litellm.loading import Foreign
from apr_agents.errors import StreamFault


def plain_chunk(response: Foreign, request: Request) -> Chunk:
    """The one chunk of LiteLLM's own answer. Such a provider is given no stops: the text ends here at the first one.

    Raises StreamFault for an answer that is not whole.
    """
    choices: Sequence[Foreign] = getattr(response, "choices", None) or []
    content = choices[0].message.content if choices else None
    if not isinstance(content, str):
        raise StreamFault("malformed", "the answer has no text")
    said = str(choices[0].finish_reason)
    if said not in ("stop", "length"):
        raise StreamFault("aborted", f"the server gave up: finish reason {said!r}", content)
    usage = _usage(getattr(response, "usage", None))
    if not content and not usage.generated:
        raise StreamFault("malformed", "the answer is empty")
    hits = [(content.index(stop) + len(stop), stop) for stop in request.stops if stop in content]
    if hits:
        end, stop = min(hits)
        return Chunk(content[:end], None, Finish("stop", stop, usage))
    reason: Literal["stop", "length"] = "length" if said == "length" else "stop"
    return Chunk(content, None, Finish(reason, None, usage))


def _usage(usage: Foreign) -> Usage:
    details = getattr(usage, "prompt_tokens_details", None)
    return Usage(
        int(getattr(usage, "prompt_tokens", 0) or 0),
        getattr(details, "cached_tokens", None),
        int(getattr(usage, "completion_tokens", 0) or 0),
    )
