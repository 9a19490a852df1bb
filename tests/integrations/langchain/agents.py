"""Agents on a virtual clock: what a model call, a tool or a node takes in seconds and tokens is said beforehand."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolCall
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import ConfigDict

from apr_agents.accounting import Report, account
from apr_agents.clock import Clock, VirtualClock
from apr_agents.integrations.langchain import AgentAccount, account_run
from apr_agents.paths import BranchPath
from apr_agents.trace import Trace

Graph = CompiledStateGraph[Any, Any, Any, Any]
State = Mapping[str, Any]
"""What a node is given."""
Node = Callable[[State], Coroutine[Any, Any, Any]]
Step = Callable[[Any], Any] | Runnable[Any, Any]
ASKED = {"messages": [("user", "What is it?")]}
PROMPT = 7
"""Prompt tokens of each call of the model."""
CACHED = 3
"""Of those, from its cache."""


class Paced(BaseChatModel):
    """A model that takes so many seconds for so many tokens, each time."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    clock: Any
    seconds: float
    tokens: int | None
    """None: it tells none."""
    problem: str = ""
    """Raised at the end, if given."""

    @property
    def _llm_type(self) -> str:
        return "paced"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if self.problem:
            raise ValueError(self.problem)
        message = AIMessage("so")
        if self.tokens is not None:
            message.usage_metadata = UsageMetadata(
                input_tokens=PROMPT,
                output_tokens=self.tokens,
                total_tokens=PROMPT + self.tokens,
                input_token_details=InputTokenDetails(cache_read=CACHED),
            )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        await take(self.clock, self.seconds)
        return self._generate(messages)


async def take(clock: Clock, seconds: float) -> None:
    await clock.sleep_until(clock.now() + seconds)


def asks(clock: Clock, *calls: tuple[float, int]) -> Node:
    """A node that asks models one after another: seconds and tokens of each call."""

    async def node(state: State) -> dict[str, Any]:
        for seconds, tokens in calls:
            await Paced(clock=clock, seconds=seconds, tokens=tokens).ainvoke("Go on")
        return {"messages": []}

    return node


def idle(state: State) -> dict[str, Any]:
    """A node that does nothing."""
    return {"messages": []}


def calls(*tools: BaseTool) -> Node:
    """A node that has these tools called."""

    async def node(state: State) -> dict[str, Any]:
        wanted = [ToolCall(name=tool.name, args={}, id=tool.name) for tool in tools]
        return {"messages": [AIMessage("", tool_calls=wanted)]}

    return node


def tool_of(name: str, clock: Clock, seconds: float, model: BaseChatModel | None = None) -> BaseTool:
    """A tool that takes so many seconds, and then asks a model if there is one."""

    async def use() -> str:
        """Use it."""
        await take(clock, seconds)
        return str((await model.ainvoke("Go on")).text) if model else "used"

    return StructuredTool.from_function(coroutine=use, name=name)


def graph_of(
    *steps: Step | Mapping[str, Step], name: str = "agent", saver: BaseCheckpointSaver[Any] | None = None
) -> Graph:
    """These one after another as nodes named by letters; those of a dict side by side, under its names."""
    built = StateGraph(MessagesState)
    before = [START]
    for place, step in enumerate(steps):
        named = {"abcdefgh"[place]: step} if callable(step) or isinstance(step, Runnable) else step
        for label, node in named.items():
            built.add_node(label, cast("Any", node))
            for other in before:
                built.add_edge(other, label)
        before = list(named)
    for other in before:
        built.add_edge(other, END)
    return built.compile(name=name, checkpointer=saver)


async def accounted(graph: Graph, clock: VirtualClock) -> AgentAccount:
    """The account of one run of this agent."""
    with account_run(clock) as agent:
        await graph.ainvoke(ASKED)
    return agent


def checked(agent: AgentAccount) -> Report:
    """The report of an agent run, of which what must hold of every account is checked."""
    trace = agent.trace()
    check(trace)
    return account(trace)


def check(trace: Trace) -> None:
    """What holds of every trace of an agent run."""
    assert Trace.load(trace.dump()) == trace
    report = account(trace)
    generated = sum(span.tokens.generated for span in trace.spans if span.tokens)
    assert report.tokens.generated == generated
    assert report.tokens.critical <= generated
    assert report.seconds.critical <= report.seconds.wall + 1e-9
    assert all(span.end <= trace.wall + 1e-9 for span in trace.spans)
    assert {span.path for span in trace.spans} <= {"", *(branch.path for branch in trace.branches)}
    ends = {span.id: span.end for span in trace.spans}
    assert all(ends[edge.span] <= span.start + 1e-9 for span in trace.spans for edge in span.after)
    outer = [branch for fork in report.forks if not fork.path for branch in fork.branches]
    own = sum(span.tokens.generated for span in trace.spans if span.tokens and not span.path)
    assert sum(branch.tokens for branch in outer) + own == generated


def tree(report: Report) -> list[tuple[str, str, int, float]]:
    """Path, name, tokens and seconds of each branch."""
    branches = [branch for fork in report.forks for branch in fork.branches]
    branches.sort(key=lambda branch: BranchPath.parse(branch.path))
    return [(branch.path, branch.outline, branch.tokens, branch.seconds) for branch in branches]


def rules(report: Report) -> Sequence[str]:
    return [fork.rule for fork in report.forks]
