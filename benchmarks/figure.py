"""What a benchmark prints: one figure a line, beside its bound."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    """None: shown beside others, and bounded by nothing."""
    better: Literal["lower", "higher"] = "lower"
    detail: str = ""
    """How it was measured; spread where there is one."""

    @property
    def ok(self) -> bool:
        """Whether the value is within its bound."""
        if self.bound is None:
            return True
        return self.value <= self.bound if self.better == "lower" else self.value >= self.bound

    def line(self) -> str:
        """As JSON."""
        return json.dumps({**asdict(self), "ok": self.ok}, ensure_ascii=False)

    @classmethod
    def of_line(cls, line: str) -> Figure:
        """The inverse of `line`."""
        fields = json.loads(line)
        del fields["ok"]
        return cls(**fields)


def show(figures: Sequence[Figure]) -> None:
    """Print these, a line each, as they come."""
    for figure in figures:
        print(figure.line(), flush=True)


def ratio_of_medians(over: Sequence[float], under: Sequence[float]) -> float:
    """How many times the median of `under` goes into that of `over`: both were taken in one run, in turns."""
    return statistics.median(over) / statistics.median(under)


def spread(values: Sequence[float]) -> str:
    """Least, median and greatest, for a figure's detail."""
    return f"min {min(values):.4g}, median {statistics.median(values):.4g}, max {max(values):.4g} of {len(values)}"
