"""The runs of one measuring: every prefix with every number of branches, in sequence, and without and with `ahead`."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from apr_agents import Budget, JoinRule, RunResult, Settings, load_dialect, run
from apr_agents.engines.base import Engine, Request
from apr_agents.engines.sglang import SGLangEngine
from benchmarks.ahead import Ran, ran
from benchmarks.forkjoin import first_prompt
from benchmarks.forkjoin_figures import Measured, measured
from benchmarks.gpu.opening import OpeningEngine

DIALECT = load_dialect("threadweaver")
Tell = Callable[[Mapping[str, object]], None]
CONCLUSION = 32
"""Tokens behind the join."""
CONTROLS = range(15)
"""The control tokens of the shipped model's tokenizer: weights that were not trained may not say one."""
NO_CONTROLS = {"ignore_eos": True, "logit_bias": {str(token): -100.0 for token in CONTROLS}}


@dataclass(frozen=True, slots=True)
class Case:
    """One place of the grid."""

    prefix: int
    """Tokens of the prompt, and a few more."""
    branches: int
    tokens: int
    """Of the shortest branch; the last has twice as many, the others lie between."""

    @property
    def lengths(self) -> tuple[int, ...]:
        last = max(1, self.branches - 1)
        return tuple(self.tokens + self.tokens * place // last for place in range(self.branches))

    @property
    def plan(self) -> str:
        outlines = "".join(f"<Outline>{n}: x</Outline>\n" for n in range(1, self.branches + 1))
        return f"<Parallel>\n<Outlines>\n{outlines}</Outlines>"

    @property
    def said(self) -> int:
        """Tokens of branches and conclusion."""
        return sum(self.lengths) + CONCLUSION


def fixed_lengths(request: Request) -> Mapping[str, object]:
    """The fields that let a server say as many tokens as it is asked for, no fewer, and no control token."""
    return {"sampling_params": NO_CONTROLS} if request.max_tokens else {}


class Runs:
    """An open engine and the prompts that it has had: each run has another, its mutable state."""

    def __init__(self, engine: SGLangEngine) -> None:
        self._engine = engine
        self._prompts = first_prompt()

    async def forked(self, case: Case, *, ahead: bool) -> tuple[Measured, Ran]:
        """Fork and join."""
        opening = OpeningEngine(self._engine, case.plan, case.lengths, CONCLUSION)
        result = await self._run(opening, case, JoinRule(ahead=ahead))
        if len(result.outcomes) != case.branches:
            raise RuntimeError(f"{case}: {len(result.outcomes)} branches: {result.detail}")
        headers = [len(self._engine.encode(f"\n<Thread>{n}:", control=True)) for n in range(1, case.branches + 1)]
        return measured(result, headers), ran(result)

    async def in_sequence(self, case: Case) -> float:
        """Seconds in which the same number of tokens is said in one request behind the same prefix."""
        self._prompts += 1
        settings = Settings(DIALECT, mode="sequential", budget=_budget(case), max_tokens=case.said)
        result = await run(self._engine, _question(case.prefix, self._prompts), settings)
        return result.trace.wall

    async def _run(self, engine: Engine, case: Case, join: JoinRule) -> RunResult:
        self._prompts += 1
        settings = Settings(DIALECT, join=join, budget=_budget(case), max_tokens=max(case.lengths))
        return await run(engine, _question(case.prefix, self._prompts), settings)


def _budget(case: Case) -> Budget:
    branches = case.branches
    return Budget(branches=branches, run_branches=branches, concurrency=branches + 1, tokens=2**22, seconds=3600)


def _question(tokens: int, number: int) -> str:
    return f"{number}" + " 137" * tokens


async def grid(engine: SGLangEngine, cases: Sequence[Case], repeats: int, longest: int, tell: Tell) -> None:
    """Run all cases; a row for each goes to `tell`. In sequence only what says at most `longest` tokens."""
    runs = Runs(engine)
    await runs.forked(cases[0], ahead=False)
    for case in cases:
        rounds = [(await runs.forked(case, ahead=False), await runs.forked(case, ahead=True)) for _ in range(repeats)]
        sequence = [await runs.in_sequence(case) for _ in range(repeats)] if case.said <= longest else []
        tell(_row(case, rounds, sequence))


_Forked = tuple[Measured, Ran]


def _row(case: Case, rounds: Sequence[tuple[_Forked, _Forked]], sequence: Sequence[float]) -> dict[str, object]:
    off = [without for without, _ in rounds]
    owns = [one.wall / one.own for one, _ in off if one.own]
    return {
        **asdict(case),
        "uncached tokens of a branch's prefix": max((one.short_fork or 0) for one, _ in off),
        "uncached tokens of a join's prefix": max((one.short_join or 0) for one, _ in off),
        "reuse": _spread([one.reuse for one, _ in off if one.reuse is not None]),
        "wall, seconds": _spread([one.wall for one, _ in off]),
        "wall over the engine's own critical path": _spread(owns),
        "wall in sequence, over ours": _spread(
            [long / one.wall for long, (one, _) in zip(sequence, off, strict=False)]
        ),
        "wall with the prefix evaluated ahead, over without": _spread([b[1].wall / a[1].wall for a, b in rounds]),
        "synthesis wait, seconds": _spread([one.wait for _, one in off]),
        "synthesis wait with the prefix evaluated ahead, over without": _spread(
            [b[1].wait / a[1].wait for a, b in rounds]
        ),
    }


def _spread(values: Sequence[float]) -> list[float] | None:
    """Least, median, greatest; None for what was not run."""
    return [round(float(one), 5) for one in (min(values), statistics.median(values), max(values))] if values else None
