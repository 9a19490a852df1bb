"""Any change of a good file gives a workflow or a refusal: nothing else is raised, and every problem has its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from apr_agents.dsl.guard import read
from apr_agents.dsl.spec import Workflow
from apr_agents.dsl.yaml import parse_workflow
from apr_agents.errors import WorkflowError
from tests.dsl.test_reference import BLOCKS, whole

READY_MADE = sorted((Path(__file__).parents[2] / "dsl" / "workflows").glob("*.yaml"))
TEXTS = [whole(block) for block in BLOCKS] + [file.read_text() for file in READY_MADE]
GOOD = [read(text, "f").data for text in TEXTS]

ODD: list[Any] = [
    None, True, 0, -1, 1.5, 1e300, 10**17, "", " ", "x", "${", "${}", "${x.}", "${item}", "${numbers.0.x}", "$${", "[",
    "first", "best", "integers", "${\u202e}", "\u202e", "(", [], [[]], [1, "a"], {}, {"x": None}, {"reason": "x"},
    {"equals": [1, 2]}, {"not": {}}, {"rule": "quorum"}, {"check": "arithmetic"}, [{"fork": {"a": []}}], [{"map": 2}],
]  # fmt: skip
KEYS = """
name steps inputs reason generate fork map call score select when repeat join rule count check answer arguments by
scores prompt marker each limit then else until most start as not all any empty equals matches above items outlines
type default length synthesis
"""


def places(data: object) -> Iterator[tuple[Any, str | int]]:
    """Every container in this data, with each key or position of it."""
    for key, value in entries(data):
        yield data, key
        yield from places(value)


def entries(data: object) -> list[tuple[str | int, object]]:
    if isinstance(data, dict):
        return list(cast("dict[str | int, object]", data).items())
    return list(enumerate(cast("list[object]", data))) if isinstance(data, list) else []


@st.composite
def changed(draw: st.DrawFn) -> object:
    """A good file with up to three changes."""
    data: Any = json.loads(json.dumps(draw(st.sampled_from(GOOD))))
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(data))
        if not found:
            break
        container, key = draw(st.sampled_from(found))
        donors = [one[at] for one, at in places(draw(st.sampled_from(GOOD)))]
        value: Any = json.loads(json.dumps(draw(st.sampled_from(ODD) | st.sampled_from(donors))))
        match draw(st.sampled_from(["replace", "delete", "add", "rename"])):
            case "delete":
                del container[key]
            case "add" if isinstance(container, list):
                cast("list[Any]", container).insert(cast("int", key), value)
            case "add":
                container[draw(st.sampled_from(KEYS.split()))] = value
            case "rename" if isinstance(container, dict):
                container[draw(st.sampled_from(KEYS.split()))] = cast("dict[str, Any]", container).pop(str(key))
            case _:
                container[key] = value
    return data


@given(changed())
def test_a_changed_file_is_a_workflow_or_refused(data: object) -> None:
    try:
        workflow = parse_workflow(json.dumps(data, indent=1), "f", functions={})
    except WorkflowError as error:
        assert error.problems
        for problem in error.problems:
            place, _, what = problem.partition(" $")
            assert place.startswith("f:")
            assert what.isprintable()
            assert len(problem) < 1000
        assert len(set(error.problems)) == len(error.problems)
    else:
        assert isinstance(workflow, Workflow)
