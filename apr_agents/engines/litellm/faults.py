"""LiteLLM's errors as ours, and ours as LiteLLM's: what a Router does next depends on the latter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import httpx

from apr_agents.engines.litellm.loading import Foreign
from apr_agents.engines.sglang.client import retry_after
from apr_agents.engines.sglang.wire import is_too_long
from apr_agents.errors import AprError, ContextFull, EngineError, EngineUnavailable, RequestRefused, StreamFault

_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Statuses that may pass, and with which nothing was generated."""
_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError)
"""What LiteLLM meets in reading an answer that is none."""
_LITELLMS = frozenset((500, 503))
"""Statuses that LiteLLM gives to what went wrong without one."""


def hidden(text: str, secrets: Iterable[str | None]) -> str:
    """This text in one line, without these secrets and without a traceback behind it."""
    for secret in secrets:
        if secret and len(secret) > 3:
            text = text.replace(secret, "***")
    text = text.partition("Traceback (most recent call last)")[0]
    return " ".join(text.split())[:400]


def ours(litellm: Foreign, error: Exception, where: str, secrets: Iterable[str | None]) -> EngineError:
    """What LiteLLM raised for a request that never got to a server through our own client."""
    said = hidden(str(getattr(error, "message", "") or error), secrets).removeprefix("litellm.")
    words = f"{where}: {said or type(error).__name__}"
    status = getattr(error, "status_code", None)
    too_long = status in (400, 413, 422) and is_too_long(said)
    if isinstance(error, litellm.ContextWindowExceededError) or too_long:
        return ContextFull(f"{words}; shorten the prompt or lower max_tokens")
    if isinstance(error, litellm.Timeout):
        return StreamFault("timeout", words)
    if isinstance(error, (litellm.AuthenticationError, litellm.PermissionDeniedError)):
        return RequestRefused(int(status or 401), f"{words}; give the key as option api_key")
    if isinstance(error, litellm.NotFoundError):
        return RequestRefused(404, f"{words}; is the model's name right?")
    if status in _LITELLMS and _headers(error) is None:  # no server said so
        return _unanswered(litellm, error, words)
    cooling = getattr(error, "cooldown_time", None)
    if isinstance(cooling, (int, float)):
        return RequestRefused(429, words, again=True, wait=float(cooling))
    if not isinstance(status, int):
        return EngineError(words)
    return RequestRefused(status, words, again=status in _AGAIN, wait=_wait(error))


def _unanswered(litellm: Foreign, error: Exception, words: str) -> EngineError:
    """The error where no answer came, or one that LiteLLM could not read."""
    if any(isinstance(one, _UNREADABLE) for one in _chain(error)):
        return StreamFault("malformed", words)
    if isinstance(error, litellm.APIConnectionError) or "connect" in words.lower():
        return EngineUnavailable(words, again=True)
    return StreamFault("foreign", words)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """This error and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _headers(error: Exception) -> Mapping[str, str] | None:
    """The headers of the server's answer; None where there was none."""
    return getattr(error, "litellm_response_headers", None)


def _wait(error: Exception) -> float | None:
    """How long the server asks to be left alone."""
    return retry_after((_headers(error) or {}).get("retry-after"))


def status_of(error: AprError) -> int:
    """The status of HTTP that says of this error whether another deployment may do better."""
    match error:
        case RequestRefused():
            return error.status
        case EngineUnavailable() | StreamFault():
            return 503
        case _:
            return 400


def words_of(error: AprError) -> str:
    """This error's words, by which LiteLLM knows a context that is too long."""
    return f"context_length_exceeded: {error}" if isinstance(error, ContextFull) else str(error)


def theirs(litellm: Foreign, error: AprError, model: str) -> Exception:
    """Our error as the one of LiteLLM's that says the same."""
    status, words = status_of(error), words_of(error)
    wait = error.wait if isinstance(error, EngineError) else None
    headers = {} if wait is None else {"retry-after": f"{wait:g}"}
    response = httpx.Response(status, headers=headers, request=httpx.Request("POST", "http://apr-sglang"))
    kinds = {
        400: litellm.ContextWindowExceededError if isinstance(error, ContextFull) else litellm.BadRequestError,
        401: litellm.AuthenticationError,
        404: litellm.NotFoundError,
        429: litellm.RateLimitError,
        500: litellm.InternalServerError,
        503: litellm.ServiceUnavailableError,
    }
    kind = kinds.get(status)
    if kind is None:
        return litellm.APIError(status_code=status, message=words, llm_provider="apr-sglang", model=model)
    return kind(message=words, llm_provider="apr-sglang", model=model, response=response)
