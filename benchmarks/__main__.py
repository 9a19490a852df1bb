"""Run benchmarks in processes of their own and print the table; `--save FILE` stores it with machine, versions, date.

Without options those that need nothing beside this environment; with `--sglang` those of servers, which need
`make sglang-cpu`. `python -m benchmarks.gpu` is the one for a CUDA machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.facts import facts
from benchmarks.figure import Figure

HERE = {
    **{
        name: (name,)
        for name in ("parser", "driver", "embedded", "trajectories", "forkjoin", "ahead", "metered", "refusals")
    },
    "langgraph": ("langgraph",),
    "workflows": ("workflows",),
    "forkjoin-scripted": ("forkjoin", "--engine", "scripted"),
}
SERVERS = {
    "client": ("client",),
    "forkjoin-sglang": ("forkjoin", "--engine", "sglang"),
    "forkjoin-litellm": ("forkjoin", "--engine", "litellm", "--branches", "1", "8", "32"),
    "ahead-sglang": ("ahead", "--engine", "sglang"),
    "metered-sglang": ("metered", "--engines", "scripted", "embedded", "sglang", "litellm"),
}
BENCHMARKS = {**HERE, **SERVERS}
"""By name, the module and its options."""


def main() -> int:
    """0 when every figure is within its bound."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", choices=BENCHMARKS, nargs="+")
    arguments.add_argument("--sglang", action="store_true", help="those of servers")
    arguments.add_argument("--save", type=Path)
    options = arguments.parse_args()
    names = options.only or (SERVERS if options.sglang else HERE)
    figures = [figure for name in names for figure in measure(name)]
    Console(width=max(110, Console().width)).print(table(figures))
    if options.save:
        lines = [json.loads(figure.line()) for figure in figures]
        options.save.write_text(json.dumps({**facts(), "figures": lines}, indent=1, ensure_ascii=False) + "\n")
    return int(not all(figure.ok for figure in figures))


def measure(name: str) -> list[Figure]:
    """The figures that one benchmark prints; what else it says goes to standard error."""
    module, *options = BENCHMARKS[name]
    print(f"benchmarks/{module}.py", *options, "...", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", f"benchmarks.{module}", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return [Figure.of_line(line) for line in done.stdout.splitlines() if line.startswith("{")]


def table(figures: list[Figure]) -> Table:
    """The figures beside their bounds."""
    shown = Table("figure", "reached", "bound", "", "how", box=None, pad_edge=False)
    for figure in figures:
        reached = f"{figure.value:.4g} {figure.unit}"
        shown.add_row(figure.name, reached, *_bound(figure), figure.detail)
    return shown


def _bound(figure: Figure) -> tuple[str, str]:
    """The bound, and whether it holds; nothing where there is none."""
    if figure.bound is None:
        return "", ""
    sign = "≤" if figure.better == "lower" else "≥"
    return f"{sign} {figure.bound:g} {figure.unit}", "yes" if figure.ok else "[bold red]no[/]"


if __name__ == "__main__":
    sys.exit(main())
