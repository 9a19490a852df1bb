"""Evaluating a join's prefix ahead, while the slowest branch still decodes: when it pays, and what it costs when not.

Eight branches of unequal length by script. With it and without it take turns; times are ratios within one turn. What
can be evaluated ahead is what stands before the slowest branch: all but its own text when it is the last, nothing when
it is the first.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import anyio

from apr_agents import JoinRule, RunResult, run
from apr_agents.engines.base import Engine
from apr_agents.trace import Kind, Span
from benchmarks.figure import Figure, show, spread
from benchmarks.forkjoin import first_prompt, settings
from benchmarks.script import Prompter, write
from benchmarks.server import Served, engine_arguments, serving
from benchmarks.speakers import speaker

SHAPES: Mapping[str, tuple[int, ...]] = {
    "the last twice as long": (*(100,) * 7, 200),
    "the last three times as long": (*(150,) * 7, 450),
    "the first twice as long": (200, *(100,) * 7),
    "all nearly as long": (100, 104, 108, 112, 116, 120, 124, 128),
}
"""Tokens of each branch."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run, in seconds."""

    wall: float
    wait: float
    """From the end of the last branch to the first token behind the join."""
    ahead: int
    """Tokens evaluated ahead."""


def ran(result: RunResult) -> Ran:
    """The figures of a run."""
    spans = result.trace.spans
    (synthesis,) = (span for span in spans if span.kind is Kind.synthesis)
    last = max(span.end for span in spans if span.path)
    early = [span.tokens for span in spans if span.kind is Kind.ahead]
    ahead = sum(tokens.prompt - (tokens.cached or 0) for tokens in early if tokens)
    return Ran(result.trace.wall, synthesis.start - last + _until_first(synthesis), ahead)


def _until_first(synthesis: Span) -> float:
    """Seconds of a request before its first token; all of it where its engine does not tell."""
    phases = synthesis.phases
    if phases is None or phases.prefill is None:
        return synthesis.end - synthesis.start
    return (phases.queue or 0.0) + phases.prefill


async def turns(engine: Engine, prompter: Prompter, lengths: Sequence[int], repeats: int) -> list[tuple[Ran, Ran]]:
    """With and without, by turns; each run has a prompt of its own."""
    found: list[tuple[Ran, Ran]] = []
    prompt = first_prompt()
    for turn in range(repeats + 1):
        pair: dict[bool, Ran] = {}
        for ahead in (True, False) if turn % 2 else (False, True):
            prompt += 1
            script = write(len(lengths), turn, prompt=prompt, lengths=lengths)
            prompter.take(script, engine.encode)
            wanted = settings(script, prompter.longest, sequential=False)
            # One place more than branches: what is evaluated ahead takes none that a branch waits for.
            budget = replace(wanted.budget, concurrency=len(lengths) + 1)
            result = await run(engine, script.question, replace(wanted, budget=budget, join=JoinRule(ahead=ahead)))
            assert result.ok, result.detail
            assert result.text == script.joined
            pair[ahead] = ran(result)
        found.append((pair[True], pair[False]))
    return found[1:]


def figures(name: str, shape: str, taken: Sequence[tuple[Ran, Ran]]) -> list[Figure]:
    """What it does to the wait for the synthesis, and to the whole run."""
    waits = [on.wait / off.wait for on, off in taken]
    walls = [on.wall / off.wall for on, off in taken]
    tokens = statistics.median(on.ahead for on, _ in taken)
    least = [statistics.median(one.wait for one in side) * 1000 for side in zip(*taken, strict=True)]
    wait = f"{spread(waits)}; {least[0]:.0f} ms of {least[1]:.0f} ms, {tokens:.0f} tokens ahead"
    return [
        Figure(f"{name}, ahead: synthesis wait, {shape}", statistics.median(waits), "x without", detail=wait),
        Figure(f"{name}, ahead: wall, {shape}", statistics.median(walls), "x without", detail=spread(walls)),
    ]


async def measure(served: Served, repeats: int) -> None:
    """Print each shape's figures as they are there."""
    prompter = Prompter()
    async with speaker(served, prompter) as engine:
        for shape, lengths in SHAPES.items():
            show(figures(served.name, shape, await turns(engine, prompter, lengths, repeats)))


def main() -> None:
    """Print the figures."""
    arguments = engine_arguments(__doc__)
    arguments.add_argument("--repeats", type=int, default=7)
    options = arguments.parse_args()
    with serving(options.engine, options.processor) as engine:
        anyio.run(measure, engine, options.repeats)


if __name__ == "__main__":
    main()
