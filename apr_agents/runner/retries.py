"""Whether, and when, a request that failed is sent again: pure functions. The driver alone sends a request twice."""

from __future__ import annotations

import hashlib

from apr_agents.errors import ContextFull, EngineError
from apr_agents.paths import BranchPath

MOST = 2
"""Times that one request is sent again."""

_FIRST = 0.25
"""Seconds before the first time, on average, where the server names none; twice as many before each further one."""


def may_help(error: EngineError) -> bool:
    """Whether the same request may be sent once more, nothing having come of it so far."""
    return error.again and not error.partial and not isinstance(error, ContextFull)


def pause(error: EngineError, seed: int, path: BranchPath, request: int, sent: int) -> float:
    """Seconds to wait before this request, sent `sent` times, is sent again: what the server asks for, else twice as
    long each time. Half to one and a half of that, so that branches which failed together do not come back together;
    the same in every run with this seed."""
    if error.wait is not None:
        return error.wait
    digest = hashlib.blake2b(f"{seed}:{path}:{request}:{sent}".encode(), digest_size=4).digest()
    return _FIRST * 2 ** (sent - 1) * (0.5 + int.from_bytes(digest) / 2**32)


def refusal(sent: int, seconds: float, left: float) -> str | None:
    """Why a request that was sent `sent` times is not sent again after so many seconds; None: it may be."""
    if sent > MOST:
        return f"sent {sent} times"
    if not seconds < left:
        return f"not sent again: that needs a wait of {seconds:.3g} s, and {max(0.0, left):.3g} s are left"
    return None
