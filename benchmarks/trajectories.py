"""Whole runs of the shipped model: how much of each prefix is reused, how much time no span explains, and whether an
engine is as fast behind many runs as before them."""

from __future__ import annotations

import argparse
import random
import statistics
from dataclasses import dataclass

import anyio

from apr_agents import Budget, RunResult, Settings, account, load_dialect, open_engine, run
from apr_agents.engines.base import Engine
from benchmarks.figure import Figure, ratio_of_medians, show, spread


def problems(count: int, seed: int) -> list[str]:
    """Countdown questions with four numbers."""
    chance = random.Random(seed)
    return [
        f"Numbers: {' '.join(str(chance.randint(1, 50)) for _ in range(4))} Target: {chance.randint(1, 100)}"
        for _ in range(count)
    ]


SETTINGS = Settings(load_dialect("threadweaver"), budget=Budget(run_branches=64))
QUESTION = "Numbers: 26 45 27 21 Target: 18"
TIMES = 9


@dataclass(frozen=True, slots=True)
class Served:
    """What one engine did."""

    runs: list[RunResult]
    """Of the questions, one after another."""
    before: list[float]
    """Wall seconds of one and the same question, on engines that had served it once."""
    behind: list[float]
    """The same on this one behind all runs."""


async def served(questions: list[str]) -> Served:
    """Have one engine serve all of these questions."""
    before = [(await timed(1))[0] for _ in range(TIMES)]
    async with open_engine("embedded") as engine:
        runs = [await run(engine, question, SETTINGS) for question in questions]
        return Served(runs, before, await timed(TIMES, engine))


async def timed(times: int, engine: Engine | None = None) -> list[float]:
    """Wall seconds of the same question, behind a run that evaluates its prompt; None: on an engine of its own."""
    if engine is None:
        async with open_engine("embedded") as young:
            return await timed(times, young)
    return [(await run(engine, QUESTION, SETTINGS)).trace.wall for _ in range(times + 1)][1:]


def figures(engine: Served) -> list[Figure]:
    """Reuse over all runs together, the others as medians."""
    reports = [account(result.trace) for result in engine.runs]
    reused = sum(report.tokens.reused or 0 for report in reports)
    reusable = sum(report.tokens.reusable or 0 for report in reports)
    residual = [report.seconds.residual / report.seconds.wall for report in reports]
    parallelism = [report.self_parallelism or 1.0 for report in reports]
    counted = f"{reused} of {reusable} tokens, {len(reports)} runs"
    again = f"wall seconds of one question, before {spread(engine.before)}, behind {spread(engine.behind)}"
    aged = ratio_of_medians(engine.behind, engine.before)
    return [
        Figure("prefix reuse", reused / reusable, "", 0.99, "higher", counted),
        Figure("residual of the wall time", statistics.median(residual), "", 0.03, "lower", spread(residual)),
        Figure("self-parallelism", statistics.median(parallelism), "x", 1.0, "higher", spread(parallelism)),
        Figure(f"a question behind {len(reports)} runs, of the same before them", aged, "x", 1.25, "lower", again),
    ]


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=100)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    show(figures(anyio.run(served, problems(options.runs, options.seed))))


if __name__ == "__main__":
    main()
