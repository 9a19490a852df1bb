"""A research agent: a graph whose model searches and reasons at the same time, in blocks that it opens by itself.

python examples/research_agent.py sglang:http://127.0.0.1:30000 "What is a dialect?"
"""

import sys
from pathlib import Path
from typing import Any

import anyio
from langchain_core.messages import AnyMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from apr_agents import Budget, Settings, load_dialect
from apr_agents.engines.base import Engine
from apr_agents.integrations.langgraph import reasoning_node

SHELF = Path(__file__).parent.parent
TASK = "Answer from what you find. Search with @search in outlines, and reason in the others.\nQuestion: "


def search(words: str, most: int = 3) -> list[str]:
    """The paragraphs of this project's documents that have the most of these words in them."""
    wanted = set(words.lower().split())
    found = [
        (len(wanted & set(paragraph.lower().split())), f"{file.name}: {paragraph[:400]}")
        for file in sorted(SHELF.glob("*.md"))
        for paragraph in file.read_text(encoding="utf-8").split("\n\n")
    ]
    return [text for hits, text in sorted(found, key=lambda pair: -pair[0])[:most] if hits]


def frame(state: MessagesState) -> dict[str, Any]:
    """The question as the model is asked it."""
    last = state["messages"][-1]
    return {"messages": [last.model_copy(update={"content": TASK + last.text})]}


def agent(engine: Engine | str) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph: a node of the user's, and the node that reasons."""
    settings = Settings(load_dialect("threadweaver"), max_tokens=800, budget=Budget(tokens=8_000, branches=6))
    graph = StateGraph(MessagesState)
    graph.add_node("frame", frame)
    graph.add_node("research", reasoning_node(engine, settings, [search]))
    return graph.add_edge(START, "frame").add_edge("frame", "research").add_edge("research", END).compile()


async def main(engine: Engine | str, question: str) -> AnyMessage:
    """Ask, and print the answer and what it cost."""
    state = await agent(engine).ainvoke({"messages": [("user", question)]})
    answer = state["messages"][-1]
    report = answer.response_metadata["report"]
    print(answer.text, f"\n{len(report['forks'])} forks, {report['tokens']['critical']} tokens on the critical path")
    return answer


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])
