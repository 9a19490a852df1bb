"""LangChain: the driver as a chat model, its tools as functions that outlines call, the account of an agent run."""

from apr_agents.integrations.langchain.account import AgentAccount, account_run
from apr_agents.integrations.langchain.functions import as_function
from apr_agents.integrations.langchain.hearing import TraceListener
from apr_agents.integrations.langchain.home import EngineHome
from apr_agents.integrations.langchain.model import ParallelChatModel

__all__ = ["AgentAccount", "EngineHome", "ParallelChatModel", "TraceListener", "account_run", "as_function"]
