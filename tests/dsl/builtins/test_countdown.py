"""The game's functions against its rules, and as a workflow calls them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.dsl.arithmetic import arithmetic
from apr_agents.dsl.builtins import BUILTINS, countdown
from apr_agents.dsl.builtins.countdown import State

NUMBERS = st.lists(st.integers(1, 50), min_size=2, max_size=4)


@given(NUMBERS)
def test_each_move_is_one_true_step_and_no_game_comes_twice(numbers: list[int]) -> None:
    after = countdown.moves(countdown.start(numbers))
    for state in after:
        value = state["numbers"][0]
        assert arithmetic(state["steps"], numbers=tuple(numbers), target=value).ok
        assert state["left"] == len(state["numbers"]) == len(numbers) - 1
        assert 1 <= value <= countdown.LARGEST
    assert len({tuple(sorted(state["numbers"])) for state in after}) == len(after)


@given(NUMBERS, st.data())
def test_a_game_played_to_its_end_is_graded_as_right(numbers: list[int], data: st.DataObject) -> None:
    state = countdown.start(numbers)
    while after := countdown.moves(state):
        state = data.draw(st.sampled_from(after))
    assert countdown.grade(state["steps"], numbers, state["numbers"][0]) == 1.0 or not state["steps"]


@pytest.mark.parametrize(
    ("answer", "worth"),
    [
        ("26 - 21 = 5 then 45 / 5 = 9 then 27 - 9 = 18", 1.0),
        ("26 - 21 = 5 then 45 / 5 = 9 then 27 - 9 = 17", 1 / 3),
        ("26 - 21 = 5", 0.5),
        ("none", 0.0),
        ("", 0.0),
        (None, 0.0),
    ],
)
def test_grades(answer: str | None, worth: float) -> None:
    assert countdown.grade(answer, [26, 45, 27, 21], 18) == pytest.approx(worth)


def test_a_written_operation_is_played_and_a_wrong_one_refused() -> None:
    state = countdown.play(countdown.start([26, 45, 27, 21]), " 26 + 45 = 71")
    assert state == State(numbers=[71, 27, 21], left=3, move="26 + 45", steps="26 + 45 = 71")
    with pytest.raises(ValueError, match="cannot be played on 26 45 27 21"):
        countdown.play(countdown.start([26, 45, 27, 21]), "26 + 45 = 70")
    assert countdown.moves(state, down_to=3) == []


def test_a_playout_is_worth_what_it_came_near_to() -> None:
    state = countdown.play(countdown.start([26, 45, 27, 21]), "26 - 21 = 5")
    solved = " 5 45 27 Target: 18; 5 + 45 = 50 27 -> 77 hit, answer: 45 / 5 = 9 then 27 - 9 = 18"
    judged = countdown.judge(state, solved, [26, 45, 27, 21], 18)
    assert judged["reward"] == 1.0
    assert judged["solution"] == "26 - 21 = 5 then 45 / 5 = 9 then 27 - 9 = 18"
    assert countdown.judge(state, " 5 + 45 = 50 27 -> 77 20; none", [26, 45, 27, 21], 18) == {
        "solution": None,
        "reward": pytest.approx(0.5 / 3),
    }
    assert countdown.judge(state, None, [26, 45, 27, 21], 18)["reward"] == 0.0


@pytest.mark.anyio
async def test_a_workflow_calls_them_with_json() -> None:
    state = json.loads(await BUILTINS["countdown.start"].run('{"numbers": [3, 5, 7]}'))
    after = json.loads(await BUILTINS["countdown.moves"].run(json.dumps({"state": state})))
    assert len(after) == len({one["move"] for one in after}) == 9
    worth = await BUILTINS["countdown.promise"].run(json.dumps({"item": after[0], "target": 22}))
    assert float(worth) == countdown.promise(after[0], 22)


@pytest.mark.parametrize("name", sorted(BUILTINS))
def test_each_has_a_schema_and_a_description(name: str) -> None:
    assert BUILTINS[name].schema()["type"] == "object"
    assert BUILTINS[name].description.strip()
