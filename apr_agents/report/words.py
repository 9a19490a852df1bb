"""Numbers as people read them, and text of models made safe to print."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

JOINT = "\u00a0"
"""A space at which no line is broken."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One way to write seconds, so that all of a report can be compared at a glance."""

    name: str
    factor: float
    digits: int

    @classmethod
    def of(cls, wall: float) -> Unit:
        """The unit that gives a run of this many seconds three or four digits."""
        if wall < 1:
            return cls("ms", 1000.0, 0 if wall >= 0.1 else 1)
        return cls("s", 1.0, 2 if wall < 100 else 1)

    def number(self, seconds: float) -> str:
        return f"{seconds * self.factor:,.{self.digits}f}"

    def shows(self, seconds: float | None) -> bool:
        """Whether this many seconds are more than a row of zeros."""
        return bool(seconds and self.number(seconds).strip("-0."))

    def write(self, seconds: float) -> str:
        return f"{self.number(seconds)} {self.name}"


@dataclass(frozen=True, slots=True)
class Signs:
    """What a report is drawn with: one set for every terminal that speaks Unicode, one for those that do not."""

    ascii: bool
    critical: str
    branch: tuple[str, str, str]
    """A tree's joint to a child, to its last child, and its trunk beside them."""
    strokes: str
    """Half a cell each: nine signs for (left, right) of empty, thin and thick."""
    waiting: tuple[str, str]
    """Thin and thick."""
    slack: str
    ellipsis: str
    minus: str
    times: str
    eta: str
    dot: str


UNICODE = Signs(False, "▸", ("├─ ", "└─ ", "│  "), " ╶╺╴─╼╸╾━", ("┄", "┅"), "·", "…", "−", "×", "η", "·")
ASCII = Signs(True, ">", ("|- ", "`- ", "|  "), " -=--====", (":", ":"), ".", "...", "-", "x", "eta", "-")


def tokens(count: int) -> str:
    return f"{count:,}"


def plural(count: int, name: str) -> str:
    """So many of these, such as `1 token` and `1,204 branches`."""
    return f"{count:,} {name}" + ("" if count == 1 else "es" if name.endswith("ch") else "s")


def ratio(value: float) -> str:
    return f"{value:.2f}"


def percent(value: float) -> str:
    return f"{100 * value:.0f}%"


def safe(text: str, signs: Signs) -> str:
    """This text on one line, without what could move a cursor or hide text, and in ASCII where nothing else prints."""
    shown = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in text)
    shown = " ".join(shown.split())
    return shown.encode("ascii", "backslashreplace").decode("ascii") if signs.ascii else shown


def fit(text: str, width: int, ellipsis: str) -> str:
    """This text in exactly so many cells: padded, or cut with an ellipsis."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    room = max(0, width - len(ellipsis))
    return set_cell_size(set_cell_size(text, room).rstrip() + ellipsis, width)


def wrap(text: str, width: int) -> list[str]:
    """This text in lines of so many cells, broken at spaces but not at `JOINT`."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and cell_len(lines[-1]) + 1 + cell_len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return [set_cell_size(line, min(width, cell_len(line))).replace(JOINT, " ") for line in lines]
