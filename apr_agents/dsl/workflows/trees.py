"""Searches in a tree of states: breadth first, depth first, and by Monte Carlo."""

from __future__ import annotations

from typing import Annotated

from apr_agents.dsl.decorators import (
    BudgetSpec,
    Input,
    Integers,
    JoinSpec,
    Reference,
    SamplingSpec,
    Traced,
    above,
    branch,
    call,
    either,
    empty,
    equals,
    generate,
    holds,
    map,
    opposite,
    repeat,
    select,
    when,
    workflow,
)
from apr_agents.dsl.workflows.game import ANSWER, FOUR_OR_FIVE, RIGHT, SHORT, Target, leaf, promises, question

Numbers = Annotated[Integers, FOUR_OR_FIVE]
Beam = Annotated[int, Input("integer", min=1, max=32, description="States that are kept on a level.")]
Least = Annotated[float, Input("number", min=0, description="A state that is worth less is pruned.")]
Breadth = Annotated[int, Input("integer", min=1, max=64, description="Children of a state that are looked at.")]
Visits = Annotated[int, Input("integer", min=1, max=200, description="States that are visited.")]
Playouts = Annotated[int, Input("integer", min=1, max=16, description="Playouts at the same time.")]
Rounds = Annotated[int, Input("integer", min=1, max=50, description="How often that many are played out.")]
Width = Annotated[int, Input("integer", min=1, max=24, description="Children of a state.")]


@workflow(engine="embedded", budget=BudgetSpec(branches=64, run_branches=512), check=RIGHT)
def tree_of_thoughts_bfs(numbers: Numbers, target: Target, beam: Beam = 8) -> Traced:
    """Every state of a level opened, the best kept."""

    @branch
    def propose(state: Reference) -> Traced:
        yield call("countdown.moves", state=state, down_to=3)

    @branch
    def level(frontier: Reference) -> Traced:
        grown = yield map(frontier, propose, as_="grown")
        thoughts = yield call("flatten", items=grown, as_="thoughts")
        worth = yield promises(thoughts)
        yield select(thoughts, by="best", scores=worth, count=beam, as_="frontier")

    game = yield call("countdown.start", numbers=numbers, as_="game")
    frontier = Reference("frontier")
    yield repeat(level, most=2, until=equals(frontier[0]["left"], 3), start={"frontier": [game]})
    solutions = yield map(frontier, leaf, join=JoinSpec("first", until="="), as_="solutions")
    yield select(solutions, by="first")


@workflow(engine="embedded", check=RIGHT)
def tree_of_thoughts_dfs(
    numbers: Numbers, target: Target, least: Least = 0.1, breadth: Breadth = 12, visits: Visits = 40
) -> Traced:
    """The best child first, and back where there is nothing left."""
    search = Reference("search")
    state = search["open"][0]

    @branch
    def deepen() -> Traced:
        thoughts = yield call("countdown.moves", state=state, as_="thoughts")
        worth = yield promises(thoughts)
        yield call("dfs.deepen", search=search, children=thoughts, worth=worth, least=least, breadth=breadth)

    @branch
    def turn_back() -> Traced:
        rest = yield generate(question(state["numbers"]), sampling=SHORT, answer=ANSWER, as_="rest")
        solution = yield call("countdown.whole", state=state, answer=rest, as_="solution")
        yield call("dfs.turn_back", search=search, found=solution)

    @branch
    def visit() -> Traced:
        yield when(above(state["left"], 3), deepen, turn_back, as_="search")

    game = yield call("countdown.start", numbers=numbers, as_="game")
    begun = yield call("dfs.begin", state=game, as_="begun")
    ends = either(holds(RIGHT, search["found"]), empty(search["open"]))
    yield repeat(visit, most=visits, until=ends, start={"search": begun})
    return search["found"]


@workflow(engine="embedded", budget=BudgetSpec(branches=64, run_branches=1024), check=RIGHT)
def mcts(numbers: Numbers, target: Target, playouts: Playouts = 4, rounds: Rounds = 6, width: Width = 12) -> Traced:
    """Leaves by UCT, parallel playouts by the model."""

    @branch
    def play(pick: Reference) -> Traced:
        warm = SamplingSpec(temperature=0.3, max_tokens=1200)
        text = yield generate(question(pick["state"]["numbers"]), mode="sequential", sampling=warm, as_="written")
        yield call("countdown.judge", state=pick["state"], written=text, numbers=numbers, target=target)

    @branch
    def expand(pick: Reference) -> Traced:
        states = yield call("countdown.moves", state=pick["state"], down_to=3, as_="states")
        worth = yield promises(states)
        yield select(states, by="best", scores=worth, count=width)

    @branch
    def one_round(tree: Reference) -> Traced:
        picks = yield call("mcts.pick", tree=tree, count=playouts, as_="picks")
        played = yield map(picks, play, as_="played")
        rewards = yield call("pluck", items=played, key="reward", as_="rewards")
        rewarded = yield call("mcts.back_up", tree=tree, picks=picks, rewards=rewards, as_="rewarded")
        solutions = yield call("pluck", items=played, key="solution", as_="solutions")
        yield select(solutions, by="first", as_="found")
        children = yield map(picks, expand, as_="children")
        yield call("mcts.grow", tree=rewarded, picks=picks, children=children, as_="tree")

    found, tree = Reference("found"), Reference("tree")
    game = yield call("countdown.start", numbers=numbers, as_="game")
    planted = yield call("mcts.plant", state=game, as_="planted")
    ends = either(opposite(empty(found)), equals(tree["nodes"][0]["closed"], True))
    yield repeat(one_round, most=rounds, until=ends, start={"tree": planted})
    return found
