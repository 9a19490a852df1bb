"""A planner whose branches are graphs: the model splits a trip, and two LangGraph graphs work on its parts meanwhile.

python examples/planner.py sglang:http://127.0.0.1:30000 "Two days in Oslo for at most 400"
"""

import sys
from typing import Any, TypedDict

import anyio
from langchain_core.messages import AnyMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from apr_agents import Budget, Settings, load_dialect
from apr_agents.engines.base import Engine
from apr_agents.integrations.langgraph import reasoning_node

NIGHTLY = {"oslo": 110, "bergen": 90, "rome": 80}
TASK = "Plan this trip. Call @stay and @ways in outlines, and reason in the others.\n"


class Trip(TypedDict, total=False):
    """What a part of the trip is asked, and what it found."""

    city: str
    nights: int
    price: int
    found: str


def priced(trip: Trip) -> Trip:
    return {"price": NIGHTLY.get(trip.get("city", "").lower(), 100) * trip.get("nights", 1)}


def told(trip: Trip) -> Trip:
    return {"found": f"{trip.get('nights', 1)} nights in {trip.get('city')} for {trip.get('price')}"}


def routed(trip: Trip) -> Trip:
    return {"found": f"to {trip.get('city')} by train, 60 each way"}


def chain(name: str, *steps: Any) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A graph of these functions, one after the other."""
    return StateGraph(Trip).add_sequence(list(steps)).add_edge(START, steps[0].__name__).compile(name=name)


async def main(engine: Engine | str, wish: str) -> AnyMessage:
    """Plan, and print the plan."""
    settings = Settings(load_dialect("threadweaver"), max_tokens=800, budget=Budget(tokens=8_000, branches=6))
    graphs = {"stay": chain("stay", priced, told), "ways": chain("ways", routed)}
    planner: Any = StateGraph(MessagesState).add_node("plan", reasoning_node(engine, settings, graphs))
    state = await planner.add_edge(START, "plan").compile().ainvoke({"messages": [("user", TASK + wish)]})
    print(state["messages"][-1].text)
    return state["messages"][-1]


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])
