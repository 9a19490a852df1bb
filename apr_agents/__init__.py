"""Adaptive parallel reasoning for agents: a model forks its own reasoning, and each run is accounted for.

In short, inside a coroutine:

    async with open_engine("embedded") as engine:
        result = await run(engine, "Numbers: 26 45 27 21 Target: 18", Settings(load_dialect("threadweaver")))
        print(result.answer, account(result.trace).acceleration_ratio)
"""

from apr_agents.accounting import account
from apr_agents.dialects import Dialect, load_dialect
from apr_agents.engines.base import Message, Sampling
from apr_agents.engines.opening import open_engine
from apr_agents.errors import AprError
from apr_agents.runner import Budget, Function, JoinRule, Outcome, RunResult, Settings, run, stream
from apr_agents.trace import Trace

__all__ = [
    "AprError",
    "Budget",
    "Dialect",
    "Function",
    "JoinRule",
    "Message",
    "Outcome",
    "RunResult",
    "Sampling",
    "Settings",
    "Trace",
    "account",
    "load_dialect",
    "open_engine",
    "run",
    "stream",
]
