"""Laws of running workflows: the same script gives the same run; a run whose branches come from a store is the same."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import anyio
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.accounting import account
from apr_agents.engines.scripted import Reply
from tests.dsl.playing import Played, play
from tests.support.replay import RecordingSpawner, ReplayingSpawner
from tests.support.scripts import block

questions = st.sampled_from(["a", "b ${n}", "c ${x}", "${n} ${x}"])
joins: st.SearchStrategy[Any] = st.sampled_from(
    ["all", "first", {"rule": "quorum", "count": 1}, {"synthesis": "of ${branches}"}]
)
conditions: st.SearchStrategy[Any] = st.sampled_from(
    [
        {"matches": ["${x}", "[a-m]"]},
        {"not": {"equals": ["${x}", "${n}"]}},
        {"any": [{"empty": "${x}"}, {"above": ["${n}", 1]}]},
    ]
)
leaves: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries({"generate": questions}),
    st.fixed_dictionaries({"reason": questions}),
    st.just({"select": [2, 1, 2], "by": "majority"}),
    st.just({"score": ["p", "q"], "prompt": "${item} ${x}"}),
)


def around(step: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Steps with such steps inside."""
    many = st.lists(step, min_size=1, max_size=2)
    branches = st.fixed_dictionaries({"l": many, "r": many})
    return st.one_of(
        st.fixed_dictionaries({"map": st.integers(1, 3), "steps": many, "join": joins}),
        st.fixed_dictionaries({"fork": branches, "join": joins}),
        st.fixed_dictionaries({"when": conditions, "then": many, "else": many}),
        st.fixed_dictionaries({"repeat": many, "most": st.integers(1, 2), "until": conditions}),
    )


def named(step: dict[str, Any], name: str | None) -> dict[str, Any]:
    return step if name is None else {**step, "as": name}


inner = st.recursive(leaves, around, max_leaves=6)
steps = st.lists(st.builds(named, inner, st.sampled_from([None, None, "x"])), min_size=1, max_size=3)


def says(question: str) -> Reply:
    """A text that depends on nothing but the question, takes a time of its own, and sometimes fails or forks."""
    digest = hashlib.blake2b(question.encode(), digest_size=2).digest()
    if question in ("</Parallel>", "<Thread>") or question.endswith(":"):
        return Reply("so</Thread>", token_seconds=1 + digest[1] % 5)
    if digest[0] % 16 == 0:
        return Reply("half", error="lost", token_seconds=1)
    if digest[0] % 4 == 1:
        return Reply(block("p", "q"), token_seconds=1)
    return Reply("word " * (1 + digest[0] % 3) + str(digest[1] % 3), token_seconds=1 + digest[1] % 5)


def file(made: list[dict[str, Any]]) -> str:
    bounds = {"run_branches": 64, "seconds": 1e5, "tokens": 2_000}
    return "name: a\n" + "\n".join(
        f"{key}: {json.dumps(value)}"
        for key, value in {
            "inputs": {"n": "integer", "x": {"type": "text", "default": "z"}},
            "budget": bounds,
            "steps": made,
        }.items()
    )


def facts(played: Played) -> tuple[object, ...]:
    result = played.answered.result
    return played.answered.value, result.ended, result.detail, played.branches, result.trace.blocks, result.trace.notes


@given(steps)
def test_the_same_script_gives_the_same_run(made: list[dict[str, Any]]) -> None:
    async def law() -> None:
        one, two = [await play(file(made), says, n=1) for _ in range(2)]
        assert facts(one) == facts(two)
        assert one.shape == two.shape
        assert one.questions == two.questions
        report = account(one.answered.result.trace)
        assert report.tokens.critical <= report.tokens.generated

    anyio.run(law)


@given(steps)
def test_a_run_whose_branches_come_from_a_store_is_the_same(made: list[dict[str, Any]]) -> None:
    async def law() -> None:
        recording = RecordingSpawner()
        one = await play(file(made), says, n=1, spawner=recording)
        replaying = ReplayingSpawner(recording.record)
        two = await play(file(made), says, n=1, spawner=replaying)
        assert facts(one) == facts(two)
        assert [span.id for span in one.spans] == [span.id for span in two.spans]
        assert not [request for request in two.engine.requests if request.path.depth]

    anyio.run(law)
