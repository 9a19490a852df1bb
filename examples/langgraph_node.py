"""A model's blocks inside a LangGraph graph: one node, one tool, and every branch is durable and accounted for."""

from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from apr_agents import Settings, load_dialect
from apr_agents.integrations.langgraph import reasoning_node


def today() -> str:
    """The date of today."""
    return "21 November 2026"


think = reasoning_node("embedded", Settings(load_dialect("threadweaver")), [today])
graph = StateGraph(MessagesState).add_node("think", think).add_edge(START, "think").add_edge("think", END).compile()

if __name__ == "__main__":
    state = graph.invoke({"messages": [HumanMessage("Numbers: 26 45 27 21 Target: 18")]})
    state["messages"][-1].pretty_print()
    print(state["messages"][-1].usage_metadata)
