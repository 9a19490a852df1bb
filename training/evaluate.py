"""Measures the exported model: through the library's driver on llama.cpp, and in PyTorch to compare run by run."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import anyio
from safetensors.torch import load_file  # pyright: ignore[reportUnknownVariableType]

from apr_agents import Function, JoinRule, Outcome, Settings, account, load_dialect, run
from apr_agents.engines.llamacpp.engine import EmbeddedEngine

from . import game, problems, texts, vocabulary
from .generate import generate
from .grade import Grade, grade
from .model import Config, Model
from .play import Player
from .problems import Problem
from .tokenizer import Encoder

SEED = 777
CONTEXT_TOKENS = 8_192
MOST_TOKENS = 2_048
WILSON_95 = 1.959964


class Task(NamedTuple):
    """A kind of problem, and how it is played."""

    numbers: int
    mode: str
    template_mode: str | None
    share: float
    """Of the problems asked for."""
    rule: JoinRule = JoinRule()


def solve(numbers: list[int], target: int) -> str:
    """A solution of the sub-game as text, or `none`."""
    return f" {game.solve(numbers, target)}"


def found_it(outcome: Outcome) -> bool:
    """Whether a branch hit: what `first success` waits for."""
    return " hit in " in outcome.text


TASKS = {
    "four, parallel": Task(4, vocabulary.THINK, None, 1.0),
    "four, parallel, first success": Task(4, vocabulary.THINK, None, 1.0, JoinRule("first", found_it)),
    "four, sequential": Task(4, vocabulary.THINK_SEQUENTIAL, "sequential", 0.6),
    "three": Task(3, vocabulary.THINK, None, 1.0),
    "four, calls": Task(4, vocabulary.THINK_CALLS, "calls", 0.1),
    "five, nested": Task(5, vocabulary.THINK_NESTED, "nested", 0.06),
}
COMPARED = ("four, parallel", "three")


class Played(NamedTuple):
    """One run of a problem."""

    text: str
    """What follows the prompt, without the end token."""
    ended: bool
    tokens: int
    critical: int


def evaluate(gguf: Path, safetensors: Path, results: Path, count: int) -> None:
    """Plays all tasks and writes what came out as JSON."""
    measured: dict[str, object] = {}
    for name in TASKS:
        measured |= measure(name, gguf, safetensors, count)
        results.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


def measure(name: str, gguf: Path, safetensors: Path, count: int) -> dict[str, object]:
    """Plays one task, and plays it again in PyTorch where the two are compared."""
    task = TASKS[name]
    drawn = draw(task, round(count * task.share))
    played = anyio.run(play_on_llamacpp, gguf, task, drawn)
    measured: dict[str, object] = {name: summary(task, drawn, played)}
    print(name, json.dumps(measured[name]), flush=True)
    if name in COMPARED:
        other = play_in_pytorch(safetensors, task, drawn)
        same = sum(mine.text == theirs.text for mine, theirs in zip(played, other, strict=True))
        measured[f"{name}, in PyTorch"] = {"same_as_llamacpp": same, **summary(task, drawn, other)}
        print(f"{name}, in PyTorch: {same} of {len(drawn)} runs the same", flush=True)
    return measured


def draw(task: Task, count: int) -> list[Problem]:
    """Problems on unseen multisets, each multiset once; the same ones for all tasks with so many numbers."""
    rng = random.Random(f"{SEED}/{task.numbers}")
    drawn: dict[tuple[int, ...], Problem] = {}
    while len(drawn) < count:
        problem = problems.draw_solvable(rng, task.numbers, unseen=True)
        drawn.setdefault(tuple(sorted(problem.numbers)), problem)
    return list(drawn.values())


async def play_on_llamacpp(gguf: Path, task: Task, drawn: Sequence[Problem]) -> list[Played]:
    """Plays through the library's driver, each run on an engine whose cache holds nothing else."""
    settings = Settings(
        replace(load_dialect("threadweaver"), nests=task.template_mode == "nested"),
        mode="sequential" if task.template_mode == "sequential" else "adaptive",
        template_mode=task.template_mode,
        join=task.rule,
        max_tokens=MOST_TOKENS,
        functions={"solve": Function("solve", solve)} if task.template_mode == "calls" else {},
    )
    played: list[Played] = []
    for problem in drawn:
        async with EmbeddedEngine(gguf, context_tokens=CONTEXT_TOKENS, threads=1) as engine:
            result = await run(engine, texts.user_message(problem), settings)
        tokens = account(result.trace).tokens
        played.append(Played(result.text, result.ok, tokens.generated, tokens.critical))
    return played


def play_in_pytorch(safetensors: Path, task: Task, drawn: Sequence[Problem]) -> list[Played]:
    """Plays the same problems with the weights of the safetensors file."""
    model = load_model(safetensors)
    player = Player(lambda contexts, stops, most: generate(model, contexts, stops, most), Encoder())
    played: list[Played] = []
    for walk in player.play(list(map(texts.user_message, drawn)), task.mode):
        text = walk.context.text.partition(task.mode)[2]
        ended = text.endswith(vocabulary.EOS)
        played.append(Played(text.removesuffix(vocabulary.EOS), ended, walk.tokens, walk.critical))
    return played


def load_model(folder: Path) -> Model:
    """The model of a safetensors file."""
    model = Model(Config())
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in weights.items()})
    return model.eval()


def summary(task: Task, drawn: Sequence[Problem], played: Sequence[Played]) -> dict[str, object]:
    """Counts and means of one task."""
    grades = [
        grade(one.text, problem, nested=task.template_mode == "nested")
        for problem, one in zip(drawn, played, strict=True)
    ]
    well_formed = sum(given.well_formed and one.ended for given, one in zip(grades, played, strict=True))
    solved = sum(given.solved for given in grades)
    return {
        "problems": len(drawn),
        "solved": solved,
        "solved_interval": wilson(solved, len(drawn)),
        "well_formed": well_formed,
        "well_formed_interval": wilson(well_formed, len(drawn)),
        "forked": sum(given.forked for given in grades),
        "second_block": sum(one.text.count("\n</Parallel>\n<Parallel>") > 0 for one in played),
        "failures": failures(drawn, played, grades),
        "mean_tokens": round(fmean(one.tokens for one in played), 1),
        "mean_critical_tokens": round(fmean(one.critical for one in played), 1),
    }


def failures(drawn: Sequence[Problem], played: Sequence[Played], grades: Sequence[Grade]) -> dict[str, int]:
    """What the unsolved runs came to, by their last words."""
    counts: dict[str, int] = {}
    for one, given in zip(played, grades, strict=True):
        if not given.solved:
            kind = "wrong answer" if "answer:" in one.text else "none" if one.text.endswith("none") else "no end"
            counts[kind] = counts.get(kind, 0) + 1
    return counts


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share, after Wilson."""
    share = successes / trials
    squared = WILSON_95**2
    centre = (share + squared / (2 * trials)) / (1 + squared / trials)
    half = WILSON_95 / (1 + squared / trials) * (share * (1 - share) / trials + squared / (4 * trials**2)) ** 0.5
    return round(max(0.0, centre - half), 4), round(min(1.0, centre + half), 4)
