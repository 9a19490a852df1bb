"""The printed report: the tree of branches with a bar each on one time axis, and the figures below it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import StringIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from apr_agents.accounting import Report
from apr_agents.report.figures import lines
from apr_agents.report.layout import Layout

WIDTHS = (80, 200)
"""Columns that a report takes at least, and at most."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A report that a rich console prints as wide as it is, in ASCII where its encoding is not a Unicode one."""

    report: Report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        layout = Layout.of(self.report, min(max(options.max_width, WIDTHS[0]), WIDTHS[1]), options.ascii_only)
        yield layout.title()
        yield Text("")
        yield from layout.tree()
        yield Text("")
        for line in lines(self.report, layout.unit, layout.signs):
            yield from layout.line(line.heading, line.words, strong=line.strong)


def render(report: Report) -> Picture:
    """This report, to be printed on a rich console."""
    return Picture(report)


def plain(report: Report, width: int = 100, *, ascii_only: bool = False) -> str:
    """This report as lines of text without colour, `width` columns wide at most (80 to 200)."""
    console = Console(file=StringIO(), width=max(width, WIDTHS[0]), color_system=None, legacy_windows=False)
    options = replace(console.options, encoding="ascii" if ascii_only else "utf-8")
    lines = console.render_lines(Picture(report), options, pad=False)
    return "".join("".join(segment.text for segment in line).rstrip() + "\n" for line in lines)
