"""The driver and what it decides by: branches, join rules, the budget."""

from apr_agents.runner.budget import Budget
from apr_agents.runner.calls import Function
from apr_agents.runner.joins import JoinRule
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.run import RunResult, run, stream
from apr_agents.runner.settings import Settings

__all__ = ["Budget", "Function", "JoinRule", "Outcome", "RunResult", "Settings", "run", "stream"]
