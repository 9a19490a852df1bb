"""Every malformed form: its verdicts, each with its place, however the text is cut and whatever follows it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
import yaml

from apr_agents.dialects import Dialect, load_dialect
from apr_agents.dialects.limits import DEFAULTS, ParserLimits
from apr_agents.dialects.verdicts import VERDICTS
from apr_agents.events import Event
from tests.dialects.reading import check, read, verdicts

FILE = Path(__file__).parent.parent / "data" / "transcripts" / "malformed.yaml"
SMALL = ParserLimits(outline=30, outlines=2, depth=2, block=190)
MARK = re.compile(r"\{([a-z-]+)(\+?)\}")


@dataclass(frozen=True)
class Case:
    """A text and the verdicts that it must get: kind, offset, whether repaired."""

    text: str
    expected: list[tuple[str, int, bool]]
    dialect: Dialect
    limits: ParserLimits
    branch: bool

    @property
    def is_over(self) -> bool:
        """Whether nothing is open at the end of the text."""
        open_kinds = {"unclosed-block", "unclosed-branch", "unclosed-conclusion", "cut-tag"}
        return not any(kind in open_kinds and not repaired for kind, _, repaired in self.expected)


def case_of(data: dict[str, object]) -> Case:
    marked = str(data["text"])
    expected: list[tuple[str, int, bool]] = []
    marks = 0
    for mark in MARK.finditer(marked):
        expected.append((mark[1], mark.start() - marks, bool(mark[2])))
        marks += len(mark[0])
    name = str(data.get("dialect", "threadweaver"))
    dialect = replace(load_dialect("threadweaver"), nests=True) if name == "nesting" else load_dialect(name)
    limits = SMALL if data.get("limits") else DEFAULTS
    return Case(MARK.sub("", marked), expected, dialect, limits, bool(data.get("branch")))


CASES = {
    name: case_of(data)
    for name, data in cast("dict[str, dict[str, object]]", yaml.safe_load(FILE.read_text(encoding="utf-8"))).items()
}
OVER = [name for name, case in CASES.items() if case.is_over and not case.branch]


def events_of(case: Case, pieces: list[str]) -> list[Event]:
    events = read(case.dialect, pieces, case.limits, inside_branch=case.branch)
    check(events, "".join(pieces), inside_branch=case.branch)
    return events


def found(case: Case, pieces: list[str]) -> list[tuple[str, int, bool]]:
    return [(verdict.kind, verdict.offset, verdict.repaired) for verdict in verdicts(events_of(case, pieces))]


@pytest.mark.parametrize("name", CASES)
def test_every_malformed_form_has_its_verdicts(name: str) -> None:
    case = CASES[name]
    assert sorted(found(case, [case.text])) == sorted(case.expected)


@pytest.mark.parametrize("name", CASES)
def test_in_single_characters_the_events_are_the_same(name: str) -> None:
    case = CASES[name]
    assert events_of(case, list(case.text)) == events_of(case, [case.text])


@pytest.mark.parametrize("name", OVER)
def test_text_behind_changes_nothing(name: str) -> None:
    case = CASES[name]
    assert found(case, [case.text + " The end."]) == found(case, [case.text])


def test_every_verdict_has_a_case_and_only_known_ones_have() -> None:
    assert {kind for case in CASES.values() for kind, _, _ in case.expected} == set(VERDICTS)
