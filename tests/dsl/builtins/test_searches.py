"""The bookkeeping of searches: laws over trees that grow at random, and UCT's formula by hand."""

import json
from math import inf, log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.dsl.builtins import depth_first, mcts
from apr_agents.dsl.builtins.mcts import Tree

ROUNDS = st.lists(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), min_size=1, max_size=5), max_size=8)


def grown(rounds: list[list[tuple[int, float]]]) -> tuple[Tree, int, float]:
    """A tree after rounds of as many parallel playouts as each has pairs (children of the leaf, its reward)."""
    tree, played, rewarded = mcts.plant("0"), 0, 0.0
    for pairs in rounds:
        picks = mcts.pick(tree, len(pairs))
        used = pairs[: len(picks)]
        tree = mcts.back_up(tree, picks, [reward for _, reward in used])
        children = [[f"{pick['state']}.{n}" for n in range(k)] for pick, (k, _) in zip(picks, used, strict=True)]
        tree = mcts.grow(tree, picks, list(children))
        played += len(picks)
        rewarded += sum(reward for _, reward in used)
    return tree, played, rewarded


@given(ROUNDS)
def test_every_playout_is_counted_once_on_each_level(rounds: list[list[tuple[int, float]]]) -> None:
    tree, played, rewarded = grown(rounds)
    nodes = tree["nodes"]
    assert nodes[0]["visits"] == played
    assert nodes[0]["reward"] == pytest.approx(rewarded)
    for place, node in enumerate(nodes):
        children = [nodes[child] for child in node["children"] or []]
        assert all(child["parent"] == place for child in children)
        if children:
            assert node["visits"] == 1 + sum(child["visits"] for child in children)
            assert node["closed"] == all(child["closed"] for child in children)


@given(ROUNDS, st.integers(1, 8))
def test_picks_are_different_open_leaves_and_as_many_as_there_are(
    rounds: list[list[tuple[int, float]]], count: int
) -> None:
    tree = grown(rounds)[0]
    picks = mcts.pick(tree, count)
    leaves = {place for place, node in enumerate(tree["nodes"]) if node["children"] is None and not node["closed"]}
    chosen = [one["node"] for one in picks]
    assert set(chosen) <= leaves
    assert len(set(chosen)) == len(chosen) == min(count, len(leaves))


@given(ROUNDS)
def test_the_tree_is_json_and_no_function_changes_it(rounds: list[list[tuple[int, float]]]) -> None:
    tree = grown(rounds)[0]
    before = json.dumps(tree)
    picks = mcts.pick(tree, 3)
    mcts.grow(mcts.back_up(tree, picks, [1.0] * len(picks)), picks, [["x"]] * len(picks))
    assert json.dumps(tree) == before
    assert json.loads(before) == tree


def test_uct_by_hand() -> None:
    tree = mcts.plant("root")
    root = mcts.pick(tree)
    tree = mcts.grow(mcts.back_up(tree, root, [0.0]), root, [["a", "b"]])
    pair = mcts.pick(tree, 2)
    assert [one["state"] for one in pair] == ["a", "b"]
    tree = mcts.back_up(tree, pair, [0.2, 0.6])
    a = mcts.uct(tree["nodes"][1], tree["nodes"][0]["visits"], 1.41)
    assert a == pytest.approx(0.2 + 1.41 * sqrt(log(3)))
    assert [one["state"] for one in mcts.pick(tree)] == ["b"]
    assert mcts.uct(mcts.plant("x")["nodes"][0], 5, 1.0) == inf


def test_a_virtual_loss_sends_the_second_pick_elsewhere() -> None:
    tree = mcts.plant("root")
    for states, reward in ((["a", "b"], 0.0), (["a1", "a2"], 0.9), (["b1", "b2"], 0.8)):
        picks = mcts.pick(tree)
        tree = mcts.grow(mcts.back_up(tree, picks, [reward]), picks, [states])
    assert {one["state"][0] for one in mcts.pick(tree, 2, explore=0.3)} == {"a", "b"}


def test_what_does_not_fit_together_is_refused() -> None:
    tree = mcts.plant("root")
    picks = mcts.pick(tree)
    with pytest.raises(ValueError, match="1 picks and 0 rewards"):
        mcts.back_up(tree, picks, [])
    with pytest.raises(ValueError, match="1 picks and 2 lists"):
        mcts.grow(tree, picks, [["a"], ["b"]])
    with pytest.raises(ValueError, match="has children already"):
        mcts.grow(mcts.grow(tree, picks, [["a"]]), picks, [["b"]])


@given(st.lists(st.tuples(st.integers(), st.none() | st.floats(0, 1)), max_size=9), st.floats(0, 1), st.integers(1, 4))
def test_a_search_goes_deeper_into_the_best_and_prunes_the_rest(
    scored: list[tuple[int, float | None]], least: float, breadth: int
) -> None:
    search = depth_first.deepen(
        {"open": ["here", "later"], "found": None},
        [list(pair) for pair in scored],
        [worth for _, worth in scored],
        least,
        breadth,
    )
    *children, last = search["open"]
    worths = [worth for _, worth in children]
    assert last == "later"
    assert worths == sorted((w for _, w in scored if w is not None and w >= least), reverse=True)[:breadth]


def test_turning_back_ends_where_nothing_is_open() -> None:
    search = depth_first.turn_back(depth_first.begin("root"), "found it")
    assert search == {"open": [], "found": "found it"}
    with pytest.raises(ValueError, match="no open state"):
        depth_first.turn_back(search)
    with pytest.raises(ValueError, match="1 children and 0 numbers"):
        depth_first.deepen(depth_first.begin("root"), ["a"], [])
