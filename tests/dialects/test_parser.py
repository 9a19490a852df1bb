"""The parser's laws: chunking is invisible, nothing is held back but what may become a tag, everything is bounded."""

from __future__ import annotations

import ast
import tracemalloc
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents import events as event_module
from apr_agents.dialects import Dialect, load_dialect, parser
from apr_agents.dialects.limits import ParserLimits
from apr_agents.dialects.parser import Parser
from apr_agents.errors import DialectError, UsageError
from apr_agents.events import BranchClosed, Closed, Concluded, Event, Fork, Opened, Outline, Outlined, Text, Verdict
from tests.dialects.reading import SMALL, check, cut, dialects, merged, read, verdicts

THREADWEAVER = load_dialect("threadweaver")
FILLERS = st.text(max_size=5) | st.sampled_from(["1:", "2: b", "<", "</", " ", "\n", "01:", "1.1:", "\ud800", "\x00"])


@st.composite
def texts(draw: st.DrawFn) -> tuple[Dialect, str]:
    """A dialect, and a text of its tags, beginnings of them and anything else."""
    dialect = draw(st.sampled_from(dialects()))
    tags = list(dialect.tags.roles())
    beginnings = [tag[:end] for tag in tags for end in range(1, len(tag))]
    pieces = st.sampled_from(tags) | FILLERS | st.sampled_from(beginnings)
    return dialect, "".join(draw(st.lists(pieces, max_size=24)))


@given(texts(), st.data(), st.booleans(), st.booleans())
def test_chunking_is_invisible(
    dialect_and_text: tuple[Dialect, str], data: st.DataObject, small: bool, inside_branch: bool
) -> None:
    dialect, text = dialect_and_text
    limits = SMALL if small else ParserLimits()
    whole = read(dialect, [text], limits, inside_branch=inside_branch)
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    assert read(dialect, cut(text, places), limits, inside_branch=inside_branch) == whole
    assert read(dialect, list(text), limits, inside_branch=inside_branch) == whole
    check(whole, text, inside_branch=inside_branch)


@given(texts())
def test_only_what_may_become_a_tag_is_held_back(dialect_and_text: tuple[Dialect, str]) -> None:
    """Outside of blocks all text is out at once, but for a suffix that a tag begins with."""
    dialect, text = dialect_and_text
    plain = text.replace(">", "")
    fed = Parser(dialect)
    out = "".join(event.text for event in fed.feed(plain) if isinstance(event, Text))
    held = plain[len(out) :]
    assert plain == out + held
    assert not held or any(tag.startswith(held) and tag != held for tag in dialect.tags.roles())


@given(st.text())
def test_text_without_tags_is_itself(text: str) -> None:
    found = [event for event in read(THREADWEAVER, [text]) if not isinstance(event, Verdict)]
    assert found == ([Text(text, 0)] if text else [])


@given(texts(), st.integers(0, 50))
def test_offsets_count_from_where_the_text_begins(dialect_and_text: tuple[Dialect, str], offset: int) -> None:
    dialect, text = dialect_and_text
    moved = Parser(dialect, offset=offset)
    here = Parser(dialect)
    there = [(type(event), getattr(event, "offset", None)) for event in moved.feed(text) + moved.close()]
    expected = [(type(event), getattr(event, "offset", None)) for event in here.feed(text) + here.close()]
    assert there == [(kind, None if at is None else at + offset) for kind, at in expected]


PLAN = "<Outlines>\n<Outline>1: a</Outline>\n<Outline> 2 : b </Outline>\n</Outlines>"


def test_outlines_are_said_as_they_complete_and_then_the_fork() -> None:
    fed = Parser(THREADWEAVER)
    assert fed.feed("so\n<Parallel>\n<Outlines>\n<Outline>1: a</Outline") == [Text("so\n", 0), Opened(3)]
    assert fed.feed(">") == [Outlined(Outline("1", "a", 25))]
    assert fed.feed("\n<Outline>2: b</Outline></Outlines>") == [
        Outlined(Outline("2", "b", 49)),
        Fork((Outline("1", "a", 25), Outline("2", "b", 49)), 72),
    ]


def test_outlines_over_the_cap_are_named_as_refused() -> None:
    outlines = "".join(f"<Outline>{n}: x</Outline>" for n in range(1, 5))
    found = read(THREADWEAVER, [f"<Parallel><Outlines>{outlines}</Outlines>"], ParserLimits(outlines=2))
    (fork,) = (event for event in found if isinstance(event, Fork))
    assert [outline.number for outline in fork.outlines] == ["1", "2"]
    assert [outline.number for outline in fork.refused] == ["3", "4"]
    assert [event.outline.number for event in found if isinstance(event, Outlined)] == ["1", "2"]


def test_a_plan_without_a_usable_outline_forks_nothing_and_goes_on_as_text() -> None:
    fed = Parser(THREADWEAVER)
    events = merged(fed.feed("<Parallel><Outlines><Outline>left</Outline></Outlines>"))
    assert not [event for event in events if isinstance(event, Fork)]
    assert [verdict.kind for verdict in verdicts(events)] == ["no-number", "no-outlines"]
    assert fed.feed("\nThen one by one.") == [Text("Then one by one.", 55)]
    with pytest.raises(UsageError, match="without an open fork"):
        fed.joined()


JOINED: dict[str, tuple[str, list[Event], str, list[Event]]] = {
    "threadweaver": (f"<Parallel>{PLAN}", [Closed(83)], "\nso", [Text("\nso", 83)]),
    "threadweaver-code": (f"<Parallel>{PLAN}", [], "</Parallel>so", [Closed(83), Text("so", 94)]),
    "multiverse": (
        "<Parallel><Goal><Outline>1: a</Outline></Goal>",
        [],
        "both\n</Conclusion>\n</Parallel>so",
        [Concluded("both", 46), Closed(65), Text("so", 76)],
    ),
    "parallel-r1": ("a <Parallel>", [Closed(12)], "both</Summary>so", [Concluded("both", 12), Text("so", 26)]),
    "npr": (
        "<guideline><plan>1: a</plan></guideline>",
        [],
        "both</takeaway>so",
        [Concluded("both", 40), Closed(44), Text("so", 55)],
    ),
}


@pytest.mark.parametrize("name", JOINED)
def test_behind_a_join_the_text_goes_on_where_the_tail_left_it(name: str) -> None:
    before, at_join, behind, expected = JOINED[name]
    fed = Parser(load_dialect(name))
    assert isinstance(fed.feed(before)[-1], Fork)
    assert fed.joined() == at_join
    assert merged(fed.feed(behind)) == expected
    assert fed.close() == []


def test_a_fork_without_outlines_has_as_many_branches_as_the_dialect() -> None:
    assert Parser(load_dialect("parallel-r1")).feed("<Parallel>") == [
        Opened(0),
        Fork((Outline("1", "", 0), Outline("2", "", 0)), 0),
    ]


def test_a_branch_ends_at_its_closing_tag() -> None:
    fed = Parser(THREADWEAVER, inside_branch=True)
    assert fed.feed(" 84</Thread>\n") == [Text(" 84", 0), BranchClosed(3)]
    assert fed.close() == []


def test_a_closed_parser_takes_no_more() -> None:
    fed = Parser(THREADWEAVER)
    assert fed.feed("<Parallel>") == [Opened(0)]
    assert [type(event) for event in fed.close()] == [Verdict, Closed]
    assert fed.close() == []
    with pytest.raises(UsageError, match="after its close"):
        fed.feed("a")


@pytest.mark.parametrize("name", ["apr", "asyncthink", "parathinker"])
def test_a_dialect_that_does_not_run_is_refused(name: str) -> None:
    with pytest.raises(DialectError, match=f"dialect {name}"):
        Parser(load_dialect(name))


@pytest.mark.parametrize("field", ["outline", "outlines", "depth", "block"])
def test_limits_are_at_least_one(field: str) -> None:
    with pytest.raises(UsageError, match=field):
        ParserLimits(**{field: 0})


def test_depth_has_a_limit_of_its_own() -> None:
    with pytest.raises(UsageError, match="64 or less"):
        ParserLimits(depth=65)


def test_hostile_depth_and_width_end_in_verdicts() -> None:
    """A billion branches asked for, or a thousand levels: named, bounded, and no recursion."""
    deep = "<Parallel><Outlines><Outline>1:a</Outline></Outlines><Thread>1:" * 2000
    kinds = {verdict.kind for verdict in verdicts(read(load_dialect("threadweaver"), [deep]))}
    assert "nested-too-deep" in kinds
    wide = "<Parallel><Outlines>" + "".join(f"<Outline>{n}:a</Outline>" for n in range(1, 5000)) + "</Outlines>"
    (fork,) = (event for event in read(THREADWEAVER, [wide]) if isinstance(event, Fork))
    assert (len(fork.outlines), len(fork.outlines) + len(fork.refused)) == (ParserLimits().outlines, 4999)


@pytest.mark.parametrize("opening", ["", "<Parallel>", "<Parallel><Outlines><Outline>1: ", "<", "<Parallel>x"])
def test_memory_is_the_open_block_and_no_more(opening: str) -> None:
    """A parser keeps nothing of what it said; of an open outline no more than an outline may have."""
    fed = Parser(THREADWEAVER)
    fed.feed(opening)
    tracemalloc.start()
    try:
        for _ in range(64):
            fed.feed("lorem ipsum <dolor " * 800)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept <= len(opening) + 64 * 1024


@pytest.mark.parametrize("size", [200_000])
def test_an_open_conclusion_in_single_characters_costs_its_characters(size: int) -> None:
    fed = Parser(load_dialect("parallel-r1"))
    fed.feed("<Parallel><Path>a</Path></Parallel><Summary>")
    tracemalloc.start()
    try:
        for _ in range(size):
            fed.feed("x")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept <= size + 64 * 1024


def test_events_are_values() -> None:
    for kind in get_args(event_module.Event):
        assert kind.__dataclass_params__.frozen
        assert hasattr(kind, "__slots__")
    with pytest.raises(FrozenInstanceError):
        Text("a", 0).offset = 1  # type: ignore[misc]


def test_the_parser_does_no_input_or_output() -> None:
    """Its modules import nothing that could: no time, no logging, no file, nothing asynchronous."""
    allowed = {"__future__", "re", "sys", "collections", "dataclasses", "functools", "typing", "types", "apr_agents"}
    folder = Path(parser.__file__).parent
    for name in ("parser", "states", "structure", "scanner", "outlines", "gathered", "limits", "verdicts"):
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert str(node.module).split(".")[0] in allowed
            elif isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed
            assert not isinstance(node, (ast.AsyncFunctionDef, ast.Await))
