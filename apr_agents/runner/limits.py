"""The time limit of a function's calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import anyio

from apr_agents.clock import Clock
from apr_agents.errors import CallError
from apr_agents.runner.calls import Function
from apr_agents.runner.spawner import background

T = TypeVar("T")


async def limited(function: Function, clock: Clock, call: Callable[[], Awaitable[T]]) -> T:
    """What this call of the function gives. Raises CallError when the function's own seconds are over before."""
    if function.seconds is None:
        return await call()
    with anyio.CancelScope() as scope:
        async with background(partial(_expire, clock, clock.now() + function.seconds, scope)):
            return await call()
    raise CallError(f"@{function.name} did not return within {function.seconds:g} s")


async def _expire(clock: Clock, moment: float, scope: anyio.CancelScope) -> None:
    await clock.sleep_until(moment)
    scope.cancel()
