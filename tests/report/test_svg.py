"""The picture: well formed, whole, and without anything to fetch."""

from __future__ import annotations

import re
from collections import Counter
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apr_agents.accounting import account
from apr_agents.report.svg import svg
from apr_agents.report.text import plain
from apr_agents.trace import Trace
from tests.report.examples import report, with_outline
from tests.support.traces import traces

NAMESPACE = "{http://www.w3.org/2000/svg}"


BARS = "─━╺╸╾╼╶╴┄┅ \n"


@pytest.mark.parametrize("width", [80, 100, 200])
def test_every_word_of_the_text_is_in_the_picture(width: int) -> None:
    drawn = ET.fromstring(svg(report(), width))
    signs = Counter("".join(text for each in drawn.iter(f"{NAMESPACE}text") for text in each.itertext()))
    expected = Counter(plain(report(), width))
    assert {sign: signs[sign] for sign in signs if sign not in BARS} == {
        sign: expected[sign] for sign in expected if sign not in BARS
    }


def test_bars_are_as_long_as_what_they_stand_for() -> None:
    drawn = ET.fromstring(svg(report(), 100))
    thick = [
        float(line.attrib["x2"]) - float(line.attrib["x1"])
        for line in drawn.iter(f"{NAMESPACE}line")
        if line.attrib["stroke-width"] == "5"
    ]
    seconds = report().seconds
    cells = 100 - 38 - 8 - 9 - 2
    assert sum(thick) / (8.4 * cells) == pytest.approx(seconds.critical / seconds.wall, abs=0.1)


@settings(max_examples=30)
@given(traces(), st.text(max_size=20))
def test_every_report_makes_a_picture(trace: Trace, outline: str) -> None:
    ET.fromstring(svg(account(trace)))
    ET.fromstring(svg(with_outline(outline)))


def test_nothing_is_fetched() -> None:
    assert re.findall(r"https?://[^\"]*|url\(|@import|<script|href", svg(report())) == ["http://www.w3.org/2000/svg"]
