"""How soon and for how little memory invalid workflows are refused: each file of tests/data/invalid, and made ones."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from apr_agents.dsl.guard import MAX_BYTES, MAX_NODES
from apr_agents.dsl.yaml import load_workflow
from apr_agents.errors import WorkflowError
from benchmarks.figure import Figure, show, spread

CORPUS = Path(__file__).parent.parent / "tests" / "data" / "invalid"
TURNS = 5
HEAD = "name: a\nsteps: "
LARGE = {
    "many unknown keys": "".join(f"k{number}: 1\n" for number in range(MAX_NODES // 2 - 10)),
    "many references": f"{HEAD}[{{reason: '{'${x}' * (MAX_BYTES // 4 - 10)}'}}]",
    "many broken steps": f"{HEAD}[{'{fork: {a: []}}, ' * 99}]",
    "many brackets": "[" * (MAX_BYTES - 1),
    "too many values": "- 1\n" * (MAX_NODES + 1),
    "one long line": f"{HEAD}[{{reason: {'a' * (MAX_BYTES - 100)}: }}]",
}
"""Made to be as slow as the bounds of a file let them be."""


def seconds(file: Path) -> float:
    """Of this process alone, until the file is refused."""
    before = time.process_time()
    try:
        load_workflow(file, functions={})
    except WorkflowError:
        return time.process_time() - before
    raise AssertionError(f"{file} is a workflow")


def slowest(name: str, files: list[Path]) -> Figure:
    """The file that takes longest at its best; a first turn imports and compiles."""
    for file in files:
        seconds(file)
    turns = {file.stem: [1000 * seconds(file) for _ in range(TURNS)] for file in files}
    worst = max(turns, key=lambda one: min(turns[one]))
    return Figure(name, min(turns[worst]), "ms", 100, detail=f"{worst}: {spread(turns[worst])}")


def peak() -> float:
    """The most memory that this process ever had, in MB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def main() -> None:
    corpus = sorted(CORPUS.glob("*.yaml"))
    with TemporaryDirectory() as folder:
        made = [Path(folder) / f"{name}.yaml" for name in LARGE]
        for file, text in zip(made, LARGE.values(), strict=True):
            file.write_text(text)
        show(
            [
                slowest(f"slowest refusal of {len(corpus)} files", corpus),
                slowest("slowest refusal of large files", made),
            ]
        )
    show([Figure("memory of a process that refuses all of them", peak(), "MB", 64, detail="its imports included")])


if __name__ == "__main__":
    main()
