"""Each ready-made workflow, from its file, on the embedded engine with the shipped model."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apr_agents import Trace, account, open_engine
from apr_agents.dsl.arithmetic import arithmetic
from apr_agents.dsl.execute import stream_workflow
from apr_agents.dsl.live import Answered, in_order
from apr_agents.dsl.workflows import WORKFLOWS
from apr_agents.dsl.yaml import load_workflow
from apr_agents.engines.base import Engine
from apr_agents.integrations.langgraph.steps import steps_graph
from apr_agents.integrations.langgraph.workflow import through

FILES = Path(__file__).parents[3] / "dsl" / "workflows"
NUMBERS, TARGET = [26, 45, 27, 21], 18
FORKS_NOT = ("sequential", "tree-of-thoughts-dfs")

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def embedded(anyio_backend: str) -> AsyncIterator[Engine]:
    async with open_engine("embedded", {"threads": "1"}) as engine:
        yield engine


async def played(
    engine: Engine, name: str, numbers: list[int], target: int, *, graph: bool = False, **inputs: object
) -> Answered:
    """The workflow of this file, played on these numbers; `graph`: as LangGraph runs it."""
    workflow = load_workflow(FILES / f"{name}.yaml")
    question = f"Numbers: {' '.join(map(str, numbers))} Target: {target}"
    given = {"question": question, "numbers": numbers, "target": target}
    asked = {key: value for key, value in given.items() if key in workflow.inputs}
    course = through(steps_graph(workflow)) if graph else in_order
    async with stream_workflow(workflow, engine, {**asked, **inputs}, course=course) as live:
        async for _ in live:
            pass
    return live.answered()


def depth(trace: Trace) -> int:
    """Levels of forks."""
    return max((branch.path.count("/") + 1 for branch in trace.branches), default=0)


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
async def test_each_solves_the_problem_of_the_demo(embedded: Engine, name: str) -> None:
    answered = await played(embedded, name, NUMBERS, TARGET)
    assert answered.ok, answered.result.detail
    assert answered.answer is not None
    assert arithmetic(answered.answer, numbers=tuple(NUMBERS), target=TARGET).ok
    report = account(answered.result.trace)
    assert (report.tokens.critical == report.tokens.generated) == (name in (*FORKS_NOT, "mcts"))
    assert bool(report.forks) == (name not in FORKS_NOT)


@pytest.mark.parametrize(
    "name", ["graph-of-thoughts", "mcts", "recursive", "tree-of-thoughts-bfs", "tree-of-thoughts-dfs"]
)
async def test_a_graph_of_langgraph_gives_the_same(embedded: Engine, name: str) -> None:
    alone = await played(embedded, name, NUMBERS, TARGET)
    inside = await played(embedded, name, NUMBERS, TARGET, graph=True)
    assert (inside.ok, inside.value) == (alone.ok, alone.value)


async def test_samples_are_different_and_a_majority_is_taken(embedded: Engine) -> None:
    answered = await played(embedded, "self-consistency", [42, 43, 24, 10], 33, samples=5)
    texts = {outcome.text for outcome in answered.result.outcomes}
    assert len(texts) > 1
    assert answered.answer is not None
    assert any(answered.answer in text for text in texts)


async def test_five_numbers_go_down_two_levels_of_a_beam(embedded: Engine) -> None:
    answered = await played(embedded, "tree-of-thoughts-bfs", [3, 8, 12, 5, 7], 40, beam=6)
    forks = account(answered.result.trace).forks
    assert [len(fork.branches) for fork in forks] == [1, 6, 6]


async def test_a_depth_first_search_goes_on_behind_a_leaf_that_fails(embedded: Engine) -> None:
    answered = await played(embedded, "tree-of-thoughts-dfs", [42, 43, 24, 10], 33, breadth=3, visits=4)
    leaves = [span for span in answered.result.trace.spans if span.kind == "decode"]
    assert 1 <= len(leaves) <= 3


async def test_a_closed_tree_ends_the_search(embedded: Engine) -> None:
    answered = await played(embedded, "mcts", [39, 1, 31, 17], 71, rounds=20, width=2)
    assert answered.result.ok
    assert answered.value is None
    assert answered.verdict is not None
    assert not answered.verdict.ok


async def test_branches_of_branches_fork(embedded: Engine) -> None:
    five = await played(embedded, "recursive", [3, 8, 12, 5, 7], 40, width=2)
    six = await played(embedded, "recursive", [3, 8, 12, 5, 7, 2], 40, width=2)
    assert depth(five.result.trace) == 2
    assert depth(six.result.trace) == 3


async def test_a_function_runs_its_workflow(embedded: Engine) -> None:
    answered = await WORKFLOWS["best-of-n"].run(embedded, numbers=NUMBERS, target=TARGET, samples=2)
    assert answered.ok
    assert len(answered.result.outcomes) == 2
