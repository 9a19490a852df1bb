"""LangGraph: a node in which a model's blocks run tools, graphs and sub-reasoning at the same time, durably.

graph.add_node("think", reasoning_node("embedded", Settings(load_dialect("threadweaver")), [search]))
"""

from apr_agents.integrations.langchain import account_run
from apr_agents.integrations.langgraph.node import reasoning_node
from apr_agents.integrations.langgraph.workflow import workflow_node

__all__ = ["account_run", "reasoning_node", "workflow_node"]
