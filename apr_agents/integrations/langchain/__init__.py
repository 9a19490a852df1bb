"""LangChain: the driver as a chat model, and LangChain's tools as functions that outlines call."""

from apr_agents.integrations.langchain.functions import as_function
from apr_agents.integrations.langchain.home import EngineHome
from apr_agents.integrations.langchain.model import ParallelChatModel

__all__ = ["EngineHome", "ParallelChatModel", "as_function"]
