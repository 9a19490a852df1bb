"""Bars on one time axis, half a cell fine: thick on the critical path, thin beside it, dashed where something waits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from apr_agents.accounting import Piece
from apr_agents.report.words import Signs, Unit, fit
from apr_agents.trace import Kind

STYLES = {
    Kind.client: "white",
    Kind.queue: "yellow",
    Kind.decode: "blue",
    Kind.synthesis: "magenta",
    Kind.ahead: "magenta",
    Kind.call: "green",
    Kind.wait: "yellow",
    Kind.human: "yellow",
    Kind.retry: "yellow",
}
_WAITING = (Kind.queue, Kind.wait, Kind.human, Kind.retry)
_LABEL = 8
"""Cells from one moment on the axis to the next, at least."""

Cell = tuple[str, str]
"""A sign and its style."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Seconds 0 to `wall` over so many cells."""

    wall: float
    cells: int
    unit: Unit
    signs: Signs

    def half(self, moment: float) -> int:
        """The half cell in which this moment is."""
        return round(2 * self.cells * min(1.0, max(0.0, moment / self.wall))) if self.wall > 0 else 0

    def head(self) -> Text:
        """Moments in round numbers, each where it is."""
        step = _round_up(self.wall * _LABEL / self.cells)
        line = ""
        for place in range(math.floor(self.wall / step + 1e-9) + 1 if step else 1):
            label = self.unit.write(place * step) if place == 0 else self.unit.number(place * step)
            cell = self.half(place * step) // 2
            if cell + len(label) <= self.cells:
                line = line.ljust(cell) + label
        return Text(line.ljust(self.cells), "dim")

    def bar(self, pieces: Sequence[Piece], slack: float | None, word: str) -> Text:
        """The pieces of one branch, dots up to its join where it had slack, and a word beside them."""
        halves: list[Piece | None] = [None] * (2 * self.cells)
        for piece in pieces:
            start = min(self.half(piece.start), 2 * self.cells - 1)
            end = max(self.half(piece.end), start + 1)
            halves[start:end] = [piece] * (end - start)
        line = [self._cell(halves[2 * cell], halves[2 * cell + 1]) for cell in range(self.cells)]
        used = [cell for cell, (sign, _) in enumerate(line) if sign != " "]
        if not used:
            return Text(fit(word, self.cells, self.signs.ellipsis), "dim")
        if slack is not None:
            join = self.half(max(piece.end for piece in pieces) + slack) // 2
            line[used[-1] + 1 : join] = [(self.signs.slack, "dim")] * max(0, join - used[-1] - 1)
        return Text.assemble(*_beside(line, used, word, self.signs.ellipsis))

    def _cell(self, left: Piece | None, right: Piece | None) -> Cell:
        shown = right if left is None or (right is not None and right.critical) else left
        if shown is None:
            return " ", ""
        style = STYLES[shown.kind] if shown.critical else f"dim {STYLES[shown.kind]}"
        if left and right and left.kind in _WAITING and right.kind in _WAITING:
            return self.signs.waiting[shown.critical], style
        return self.signs.strokes[3 * _weight(left) + _weight(right)], style


def _weight(piece: Piece | None) -> int:
    return 0 if piece is None else 1 + piece.critical


def _beside(line: list[Cell], used: list[int], word: str, ellipsis: str) -> list[Cell]:
    """The word behind the bar or before it, cut to the room there; over its end where there is none for a beginning."""
    if not word:
        return line
    before, behind = used[0] - 1, len(line) - used[-1] - 2
    size, least = cell_len(word), len(word.partition(":")[0])
    if behind >= min(size, max(least, before)):
        shown = fit(word, min(size, behind), ellipsis)
        return [*line[: used[-1] + 1], (" " + shown, "dim"), *line[used[-1] + 2 + cell_len(shown) :]]
    if before >= least:
        shown = fit(word, min(size, before), ellipsis)
        return [*line[: before - cell_len(shown)], (shown + " ", "dim"), *line[used[0] :]]
    shown = word.partition(":")[0]
    return [*line[: -len(shown) - 1], (" " + shown, "dim")]


def _round_up(step: float) -> float:
    """The next of 1, 2, 5, 10, 20, … in whatever power of ten."""
    if step <= 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))
