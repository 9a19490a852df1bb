"""The printed report as a picture: the same cells, with its bars drawn as lines. Nothing in it has to be fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from io import StringIO

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style

from apr_agents.accounting import Report
from apr_agents.report.text import Picture
from apr_agents.report.words import UNICODE

CELL = (8.4, 20.0)
"""Width and height of a cell, in the picture's units."""
MARGIN = 24.0
COLOURS = {
    "": "#d7dae0",
    "white": "#d7dae0",
    "yellow": "#d8b365",
    "blue": "#6cb0f2",
    "magenta": "#c792dd",
    "green": "#8fc07a",
}
_THICKNESS = (0.0, 1.5, 5.0)
_WORDS = re.compile(r"\S+(?: \S+)*")
"""What stands together: more than one space would not be kept."""


def svg(report: Report, width: int = 100) -> str:
    """This report as an SVG document, `width` columns wide."""
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system="standard", legacy_windows=False)
    lines = console.render_lines(Picture(report), console.options, pad=False)
    drawn = [shape for row, line in enumerate(lines) for shape in _line(line, MARGIN + (row + 0.5) * CELL[1])]
    size = (2 * MARGIN + width * CELL[0], 2 * MARGIN + len(lines) * CELL[1])
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]:g} {size[1]:g}" width="{size[0]:g}">',
            f"<title>apr report of run {escape(report.run_id)}</title>",
            '<rect width="100%" height="100%" rx="10" fill="#17191e"/>',
            '<g font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14">',
            *drawn,
            "</g>",
            "</svg>",
            "",
        )
    )


def _line(line: list[Segment], y: float) -> Iterator[str]:
    cell = 0
    for text, style, _ in Segment.simplify(line):
        # Only bars have a colour.
        draw = _bar if style and style.color else _text
        for words in _WORDS.finditer(text):
            x = MARGIN + (cell + cell_len(text[: words.start()])) * CELL[0]
            yield from draw(words[0], x, y, style or Style.null())
        cell += cell_len(text)


def _text(text: str, x: float, y: float, style: Style) -> Iterator[str]:
    weight = ' font-weight="bold"' if style.bold else ""
    length = f'textLength="{cell_len(text) * CELL[0]:g}" lengthAdjust="spacingAndGlyphs"'
    yield f'<text x="{x:g}" y="{y + 5:g}" {length} {_paint("fill", style)}{weight}>{escape(text)}</text>'


def _bar(signs: str, x: float, y: float, style: Style) -> Iterator[str]:
    """One line for each stretch of one thickness."""
    halves = [half for sign in signs for half in _halves(sign)]
    dashes = ' stroke-dasharray="3 3"' if set(signs) & set(UNICODE.waiting) else ""
    start = 0
    for end in range(1, len(halves) + 1):
        if end == len(halves) or halves[end] != halves[start]:
            ends = f'x1="{x + start * CELL[0] / 2:g}" x2="{x + end * CELL[0] / 2:g}" y1="{y:g}" y2="{y:g}"'
            if halves[start]:
                width = _THICKNESS[halves[start]]
                yield f'<line {ends} stroke-width="{width:g}" {_paint("stroke", style)}{dashes}/>'
            start = end


def _halves(sign: str) -> tuple[int, int]:
    """How thick a bar is in the left and in the right half of a cell."""
    if sign in UNICODE.waiting:
        thickness = 1 + UNICODE.waiting.index(sign)
        return thickness, thickness
    return divmod(UNICODE.strokes.index(sign), 3)


def _paint(what: str, style: Style) -> str:
    colour = COLOURS.get(style.color.name if style.color else "", COLOURS[""])
    return f'{what}="{colour}"' + (' opacity="0.6"' if style.dim else "")
