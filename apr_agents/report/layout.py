"""The columns of a printed report: names, tokens, seconds, bars. A mark before a figure: it is on the critical path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from apr_agents.accounting import BranchFigures, ForkFigures, Piece, Report
from apr_agents.report.bars import Axis
from apr_agents.report.rows import Row, rows
from apr_agents.report.words import ASCII, UNICODE, Signs, Unit, fit, plural, safe, tokens, wrap

HEADINGS = 13
"""Cells of the headings below the tree."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How wide each column is, and what it is drawn with."""

    report: Report
    signs: Signs
    unit: Unit
    axis: Axis
    width: int
    names: int
    """Cells of the tree."""
    figures: tuple[int, int]
    """Cells of the tokens and of the seconds, marks included."""

    @classmethod
    def of(cls, report: Report, width: int, ascii_only: bool) -> Layout:
        """For so many columns."""
        signs = ASCII if ascii_only else UNICODE
        unit = Unit.of(report.seconds.wall)
        figures = (
            2 + max(len(tokens(report.tokens.generated)), len("tokens")),
            2 + max(len(unit.write(report.seconds.wall)), len("seconds")),
        )
        names = min(64, width * 38 // 100)
        axis = Axis(report.seconds.wall, width - names - sum(figures) - 2, unit, signs)
        return cls(report, signs, unit, axis, width, names, figures)

    def title(self) -> Text:
        """Which run this is."""
        report = self.report
        names = (report.engine, report.dialect, report.mode, f"run {report.run_id}")
        title = f" {self.signs.dot} ".join(safe(name, self.signs) for name in names)
        ended = safe(report.ended, self.signs)
        rest = fit(title, self.width - len(ended) - 2, self.signs.ellipsis)
        return Text.assemble((ended, "bold"), "  ", (rest, "dim"))

    def tree(self) -> Iterator[Text]:
        """The axis, the run, and a row for each block and branch."""
        pieces: dict[str, list[Piece]] = {}
        for piece in self.report.timeline:
            pieces.setdefault(piece.path, []).append(piece)
        legend = fit(f"{self.signs.critical} and {self.signs.strokes[-1]}: on the critical path", self.names, "")
        yield self._columns(Text(legend, "dim"), ("tokens", False), ("seconds", False), self.axis.head())
        generated, wall = tokens(self.report.tokens.generated), self.unit.write(self.report.seconds.wall)
        bar = self.axis.bar(pieces.get("", []), None, "")
        yield self._columns(Text(fit("run", self.names, ""), "bold"), (generated, True), (wall, True), bar)
        for row in rows(self.report):
            yield self._row(row, pieces)

    def line(self, heading: str, words: str, *, strong: bool) -> Iterator[Text]:
        """A line of figures, broken where it is too long."""
        for part in wrap(words, self.width - HEADINGS):
            yield Text.assemble((fit(heading, HEADINGS, ""), "dim"), (part, "bold" if strong else ""))
            heading = ""

    def _row(self, row: Row, pieces: Mapping[str, Sequence[Piece]]) -> Text:
        item = row.item
        if isinstance(item, BranchFigures):
            return self._branch(row, item, pieces.get(item.path, []))
        if isinstance(item, ForkFigures):
            name = self._name(row, f"block {item.number} {self.signs.dot} {item.rule}", "dim")
            return self._columns(name, ("", False), ("", False), Text(self._clip(self._remark(item)), "dim"))
        count = len(item.branches) or len(item.forks)
        name = self._name(row, f"{self.signs.ellipsis} {plural(count, item.name)} more", "dim")
        seconds = self.unit.write(max(branch.seconds for branch in item.inside))
        generated = tokens(sum(branch.tokens for branch in item.inside))
        return self._columns(name, (generated, False), (seconds, False), Text(self._clip("the longest of them"), "dim"))

    def _branch(self, row: Row, branch: BranchFigures, pieces: Sequence[Piece]) -> Text:
        label = f"{branch.path.rpartition('/')[2]} {safe(branch.outline, self.signs)}"
        word = branch.outcome if branch.outcome != "done" else ""
        if word and branch.outcome in ("failed", "refused", "truncated") and branch.detail:
            word = f"{word}: {safe(branch.detail, self.signs)}"
        return self._columns(
            self._name(row, label, "bold" if branch.critical else ""),
            (tokens(branch.tokens), branch.critical_tokens),
            (self.unit.write(branch.seconds), branch.critical),
            self.axis.bar(pieces, branch.slack_seconds, word),
        )

    def _name(self, row: Row, label: str, style: str) -> Text:
        """The tree's lines, cut from the left where they would leave no room, and the name."""
        joint, last, trunk = self.signs.branch
        lines = "".join(trunk if more else " " * len(trunk) for more in row.trunks) + (last if row.last else joint)
        room = self.names // 2
        if len(lines) > room:
            lines = self.signs.ellipsis + lines[len(lines) - room :]
        return Text.assemble((lines, "dim"), (fit(label, self.names - len(lines), self.signs.ellipsis), style))

    def _remark(self, fork: ForkFigures) -> str:
        """What the join waited for, and what it wasted."""
        if fork.trigger is not None and fork.straggler is not None:
            parts = [f"{_short(fork.straggler)} let it join"]
        elif fork.straggler is not None and fork.lead_seconds is not None:
            apart = self.unit.shows(fork.lead_seconds)
            last = f"{_short(fork.straggler)} was last, by {self.unit.write(fork.lead_seconds)}"
            parts = [last if apart else "the last ones ended together"]
        elif any(branch.joined for branch in fork.branches):
            parts = [] if fork.straggler else ["joined at its deadline"]
        else:
            parts = ["joined nothing"]
        if fork.ahead:
            behind = "" if fork.synthesis_prefill is None else f", {tokens(fork.synthesis_prefill)} behind"
            parts.append(f"{plural(fork.ahead, 'token')} ahead{behind}")
        if fork.wasted_tokens:
            parts.append(f"{plural(fork.wasted_tokens, 'token')} wasted")
        return f" {self.signs.dot} ".join(parts)

    def _clip(self, words: str) -> str:
        return fit(words, self.axis.cells, self.signs.ellipsis)

    def _columns(self, name: Text, generated: Figure, seconds: Figure, bar: Text) -> Text:
        row = name.copy()
        for (figure, critical), width in zip((generated, seconds), self.figures, strict=True):
            mark = self.signs.critical if critical else " "
            row.append(f"{mark + figure:>{width}}", "bold" if critical else "")
        row.append("  ")
        return row.append_text(bar)


Figure = tuple[str, bool]
"""A figure, and whether it is on the critical path."""


def _short(path: str) -> str:
    return path.rpartition("/")[2]
