"""Whole runs of the shipped model: how much of each prefix is reused, and how much time no span explains."""

from __future__ import annotations

import argparse
import random
import statistics

import anyio

from apr_agents import Budget, RunResult, Settings, account, load_dialect, open_engine, run
from benchmarks.figure import Figure, show, spread


def problems(count: int, seed: int) -> list[str]:
    """Countdown questions with four numbers."""
    chance = random.Random(seed)
    return [
        f"Numbers: {' '.join(str(chance.randint(1, 50)) for _ in range(4))} Target: {chance.randint(1, 100)}"
        for _ in range(count)
    ]


async def results(questions: list[str]) -> list[RunResult]:
    """One run after another on one engine."""
    settings = Settings(load_dialect("threadweaver"), budget=Budget(run_branches=64))
    async with open_engine("embedded") as engine:
        return [await run(engine, question, settings) for question in questions]


def figures(runs: list[RunResult]) -> list[Figure]:
    """Reuse over all runs together, residual and self-parallelism as medians."""
    reports = [account(result.trace) for result in runs]
    reused = sum(report.tokens.reused or 0 for report in reports)
    reusable = sum(report.tokens.reusable or 0 for report in reports)
    residual = [report.seconds.residual / report.seconds.wall for report in reports]
    parallelism = [report.self_parallelism or 1.0 for report in reports]
    counted = f"{reused} of {reusable} tokens, {len(runs)} runs"
    return [
        Figure("prefix reuse", reused / reusable, "", 0.99, "higher", counted),
        Figure("residual of the wall time", statistics.median(residual), "", 0.03, "lower", spread(residual)),
        Figure("self-parallelism", statistics.median(parallelism), "x", 1.0, "higher", spread(parallelism)),
    ]


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=100)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    show(figures(anyio.run(results, problems(options.runs, options.seed))))


if __name__ == "__main__":
    main()
