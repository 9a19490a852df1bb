"""Run every benchmark in a process of its own and print the table; `--save FILE` stores it with machine and date."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.figure import Figure

BENCHMARKS = ("parser", "driver", "embedded", "trajectories")


def main() -> int:
    """0 when every figure is within its bound."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", choices=BENCHMARKS)
    arguments.add_argument("--save", type=Path)
    options = arguments.parse_args()
    figures = [figure for name in BENCHMARKS if options.only in (None, name) for figure in measure(name)]
    Console(width=max(110, Console().width)).print(table(figures))
    if options.save:
        stored = {"machine": machine(), "date": datetime.now(UTC).date().isoformat()}
        lines = [json.loads(figure.line()) for figure in figures]
        options.save.write_text(json.dumps({**stored, "figures": lines}, indent=1, ensure_ascii=False) + "\n")
    return int(not all(figure.ok for figure in figures))


def measure(name: str) -> list[Figure]:
    """The figures that one benchmark prints; what else it says goes to standard error."""
    print(f"benchmarks/{name}.py ...", file=sys.stderr, flush=True)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", f"benchmarks.{name}"], stdout=subprocess.PIPE, check=True, text=True
    )
    return [Figure.of_line(line) for line in done.stdout.splitlines() if line.startswith("{")]


def table(figures: list[Figure]) -> Table:
    """The figures beside their bounds."""
    shown = Table("figure", "reached", "bound", "", "how", box=None, pad_edge=False)
    for figure in figures:
        bound = f"{'≤' if figure.better == 'lower' else '≥'} {figure.bound:g} {figure.unit}"
        reached = f"{figure.value:.4g} {figure.unit}"
        shown.add_row(figure.name, reached, bound, "yes" if figure.ok else "[bold red]no[/]", figure.detail)
    return shown


def machine() -> str:
    """What ran this."""
    names = (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name"))
    parts = (
        next(names, platform.processor()),
        f"{os.cpu_count()} cores",
        f"{platform.system()} {platform.machine()}",
        f"Python {platform.python_version()}",
    )
    return ", ".join(parts)


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []


if __name__ == "__main__":
    sys.exit(main())
