"""How often, and for how long, a branch's call is tried."""

from __future__ import annotations

import inspect
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import Any, cast

import anyio
from anyio import to_thread
from langgraph.types import RetryPolicy

from apr_agents.errors import UsageError
from apr_agents.runner import Function


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for each call of a function."""

    retry: RetryPolicy | None = None
    """LangGraph's own; None: a call is made once."""
    timeout: float | None = None
    """Seconds for one try, by the machine's clock; a plain function goes on in its thread behind that."""

    def __post_init__(self) -> None:
        if self.timeout is not None and not self.timeout > 0:
            raise UsageError(f"timeout is {self.timeout}; it must be above 0 seconds")

    def around(self, function: Function) -> Function:
        """This function, tried by this policy."""
        if self.retry is None and self.timeout is None:
            return function
        call = function.call

        @wraps(call)
        async def tried(**arguments: Any) -> object:
            return await self._try(partial(call, **arguments))

        return replace(function, call=tried)

    async def _try(self, call: partial[Any]) -> object:
        attempt = 1
        while True:
            try:
                return await self._once(call)
            except Exception as error:  # which errors are tried again the policy says
                if self.retry is None or attempt >= self.retry.max_attempts or not _admits(self.retry, error):
                    raise
            await anyio.sleep(_pause(self.retry, attempt))
            attempt += 1

    async def _once(self, call: partial[Any]) -> object:
        with anyio.move_on_after(self.timeout):
            if inspect.iscoroutinefunction(call.func):
                return await call()
            return await to_thread.run_sync(call, abandon_on_cancel=True)
        raise TimeoutError(f"no result within {self.timeout:g} s")


def _admits(policy: RetryPolicy, error: Exception) -> bool:
    kinds = cast("Any", policy.retry_on)
    if isinstance(kinds, type | Sequence):
        return isinstance(error, kinds if isinstance(kinds, type) else tuple(cast("Sequence[type]", kinds)))
    return bool(kinds(error))


def _pause(policy: RetryPolicy, attempt: int) -> float:
    """Seconds before the next try, as LangGraph reckons them."""
    seconds = min(policy.max_interval, policy.initial_interval * policy.backoff_factor ** (attempt - 1))
    return seconds + (random.uniform(0, 1) if policy.jitter else 0)  # noqa: S311  # spreads tries, keeps no secret
