"""The ready-made workflows side by side on the shipped model's task: what they solve, and how long their paths are.

Problems are drawn evenly among those that have a solution, from numbers that the model was not trained on; each
workflow plays the same ones, on one engine. Tokens and the rest are means over all problems, solved or not. What a
workflow leaves to a function is counted as calls: they are why some need so few tokens.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import anyio

from apr_agents import account, open_engine
from apr_agents.dsl.arithmetic import arithmetic
from apr_agents.dsl.execute import run_workflow
from apr_agents.dsl.workflows import WORKFLOWS
from apr_agents.dsl.yaml import load_workflow
from apr_agents.engines.base import Engine
from apr_agents.trace import Kind
from benchmarks.facts import facts
from benchmarks.figure import Figure, show
from training.problems import Problem, draw_solvable

FILES = Path(__file__).parents[1] / "dsl" / "workflows"
SEED = 2026
FIVE = ("recursive", "tree-of-thoughts-bfs", "tree-of-thoughts-dfs", "mcts")
"""Those that take five numbers, too."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of one workflow on one problem."""

    solved: bool
    tokens: int
    critical: int
    """Tokens on the critical path."""
    calls: int
    """Calls of functions."""
    branches: int


@dataclass(frozen=True, slots=True)
class Row:
    """One workflow over all problems."""

    workflow: str
    numbers: int
    problems: int
    solved: int
    tokens: float
    critical: float
    self_parallelism: float
    """Tokens in all over those on the critical path, of the means."""
    branches: float
    calls: float


async def play(engine: Engine, name: str, problem: Problem, seed: int) -> Played:
    """One workflow on one problem; an answer counts when arithmetic says so."""
    workflow = load_workflow(FILES / f"{name}.yaml")
    numbers, target = list(problem.numbers), problem.target
    question = f"Numbers: {' '.join(map(str, numbers))} Target: {target}"
    given = {"question": question, "numbers": numbers, "target": target}
    inputs = {key: value for key, value in given.items() if key in workflow.inputs}
    answered = await run_workflow(workflow, engine, inputs, seed=seed)
    report, trace = account(answered.result.trace), answered.result.trace
    solved = bool(answered.answer) and arithmetic(answered.answer or "", numbers=problem.numbers, target=target).ok
    calls = sum(span.kind is Kind.call for span in trace.spans)
    tokens = report.tokens
    return Played(solved, tokens.generated, tokens.critical, calls, len(trace.branches))


def row(name: str, numbers: int, played: Sequence[Played]) -> Row:
    """The means."""
    tokens, critical = fmean(one.tokens for one in played), fmean(one.critical for one in played)
    return Row(
        workflow=name,
        numbers=numbers,
        problems=len(played),
        solved=sum(one.solved for one in played),
        tokens=round(tokens, 1),
        critical=round(critical, 1),
        self_parallelism=round(tokens / max(critical, 1), 2),
        branches=round(fmean(one.branches for one in played), 1),
        calls=round(fmean(one.calls for one in played), 1),
    )


def figures(one: Row) -> list[Figure]:
    """A row as figures."""
    name = f"{one.workflow}, {one.numbers} numbers"
    detail = f"{one.tokens:g} tokens, {one.branches:g} branches and {one.calls:g} calls a problem"
    return [
        Figure(f"{name}: solved", one.solved / one.problems, "", None, "higher", f"{one.solved} of {one.problems}"),
        Figure(f"{name}: tokens on the critical path", one.critical, "", None, "lower", detail),
    ]


def line(one: Row) -> str:
    """A row of the table in the README."""
    solved = f"{one.solved} of {one.problems}"
    cells = (one.workflow, f"{one.numbers}", solved, f"{one.tokens:.0f}", f"{one.critical:.0f}", f"{one.calls:.0f}")
    return "| " + " | ".join(cells) + " |"


async def measure(names: Sequence[str], four: int, five: int, threads: int) -> list[Row]:
    """Every workflow on the same problems, the rows printed as they come."""
    rows: list[Row] = []
    async with open_engine("embedded", {"threads": str(threads)}) as engine:
        for numbers, count in ((4, four), (5, five)):
            rng = random.Random(SEED)
            problems = [draw_solvable(rng, numbers, unseen=True) for _ in range(count)]
            for name in (name for name in names if problems and (numbers == 4 or name in FIVE)):
                played = [await play(engine, name, one, seed) for seed, one in enumerate(problems)]
                rows.append(row(name, numbers, played))
                show(figures(rows[-1]))
    return rows


def main() -> None:
    """Print the figures; `--save FILE` stores the rows beside what they were measured on."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--problems", type=int, default=10, help="with four numbers")
    arguments.add_argument("--five", type=int, default=0, help="problems with five numbers")
    arguments.add_argument("--threads", type=int, default=1, help="of the engine")
    arguments.add_argument("--only", nargs="+", choices=WORKFLOWS, default=list(WORKFLOWS))
    arguments.add_argument("--save", type=Path)
    options = arguments.parse_args()
    rows = anyio.run(measure, options.only, options.problems, options.five, options.threads)
    if options.save:
        stored = {**facts(), "seed": SEED, "rows": [asdict(one) for one in rows]}
        options.save.write_text(json.dumps(stored, indent=1) + "\n")
        print(f"{len(rows)} rows in {options.save}", file=sys.stderr)


if __name__ == "__main__":
    main()
