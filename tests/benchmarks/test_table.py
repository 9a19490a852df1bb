"""What benchmarks print: a figure survives its line, and the table says which bounds hold."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from benchmarks.__main__ import BENCHMARKS, table
from benchmarks.facts import machine, versions
from benchmarks.figure import Figure
from benchmarks.server import serving

FIGURES = (
    Figure("one", 1.04, "x", 1.05, "lower", "how"),
    Figure("two", 0.98, "", 0.99, "higher"),
    Figure("three", 3.0, "ms"),
)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_survives_its_line(figure: Figure) -> None:
    assert Figure.of_line(figure.line()) == figure


def test_the_table_says_which_bounds_hold() -> None:
    shown = StringIO()
    Console(width=120, file=shown).print(table(list(FIGURES)))
    _, *lines = shown.getvalue().rstrip().splitlines()
    assert [line.split() for line in lines] == [
        ["one", "1.04", "x", "≤", "1.05", "x", "yes", "how"],
        ["two", "0.98", "≥", "0.99", "no"],
        ["three", "3", "ms"],
    ]


def test_every_benchmark_is_there_and_results_say_where_they_come_from() -> None:
    modules = {module for module, *_ in BENCHMARKS.values()}
    assert {"client", "forkjoin", "ahead", "metered"} <= modules
    assert "cores" in machine()
    assert "aiohttp" in versions()


def test_an_address_is_taken_as_it_is() -> None:
    with serving("sglang:http://127.0.0.1:1") as served:
        assert (served.spec, served.name, served.processor) == ("sglang:http://127.0.0.1:1", "sglang", None)
