"""The interpreter: steps one after the other in a frame, each leaving its value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

from apr_agents.dsl.asking import generate, reason
from apr_agents.dsl.blocks import Job, gathered
from apr_agents.dsl.calling import called
from apr_agents.dsl.deciding import holds
from apr_agents.dsl.frame import Frame, Stopped
from apr_agents.dsl.kinds import kind_key
from apr_agents.dsl.once import called_once
from apr_agents.dsl.parts import Data, JoinSpec
from apr_agents.dsl.places import Path
from apr_agents.dsl.program import rule_of
from apr_agents.dsl.selecting import chosen
from apr_agents.dsl.steps import (
    MAX_CHOSEN,
    MAX_ROUNDS,
    Call,
    Fork,
    Generate,
    Map,
    Reason,
    Repeat,
    Score,
    Select,
    Step,
    When,
)
from apr_agents.dsl.templates import fill
from apr_agents.dsl.values import Value, as_json, as_text, is_list
from apr_agents.errors import WorkflowError
from apr_agents.runner.joins import JoinRule
from apr_agents.runner.progress import Began
from apr_agents.runner.shared import End
from apr_agents.trace import Kind

_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,3})?")
_NAMED = 200
"""Characters of an item that name its branch."""


async def run_steps(frame: Frame, path: Path, steps: Sequence[Step]) -> Value:
    """The value of the last of these steps, which stand at `path`. Raises Stopped with the place of the one that cannot
    go on."""
    value: Value = None
    for position, step in enumerate(steps):
        value = await run_step(frame, (*path, position), step)
    return value


async def run_step(frame: Frame, path: Path, step: Step) -> Value:
    """The value of one step, which stands at `path`; it has the step's name in the frame. Raises Stopped."""
    if isinstance(step, When):
        value = await run_steps(frame, *way(frame, path, step))
    elif isinstance(step, Repeat):
        value = await _repeat(frame, path, step)
    else:
        if not frame.program.alone:
            await frame.shared.tell(Began(str(frame.path), path, kind_key(type(step))))
        try:
            value = await _do(frame, path, step)
        except WorkflowError as error:
            raise Stopped(End("failed", str(error))).at(path) from error
        except Stopped as stopped:
            raise stopped.at(path) from stopped
    return bind(frame, step, value)


def bind(frame: Frame, step: Step, value: Value) -> Value:
    """Give a step's value its name."""
    if step.as_ is not None:
        frame.values[step.as_] = value
    return value


def way(frame: Frame, path: Path, step: When) -> tuple[Path, Sequence[Step]]:
    """Which way a step `when` takes. Raises Stopped."""
    key, steps = ("then", step.then) if decided(frame, (*path, "when"), step) else ("else", step.else_)
    return (*path, key), steps


def decided(frame: Frame, path: Path, step: When | Repeat) -> bool:
    """Whether the condition of this step holds now. Raises Stopped."""
    condition = step.when if isinstance(step, When) else step.until
    try:
        return condition is not None and holds(condition, frame.values, frame.program.checks)
    except WorkflowError as error:
        raise Stopped(End("failed", str(error))).at(path) from error


def started(frame: Frame, path: Path, step: Repeat) -> int:
    """Give the values before the first round their names; how many rounds there are at most. Raises Stopped."""
    try:
        frame.values |= {name: fill(value, frame.values) for name, value in step.start.items()}
        return _count(step.most, frame, "rounds", MAX_ROUNDS)
    except WorkflowError as error:
        raise Stopped(End("failed", str(error))).at(path) from error


async def _repeat(frame: Frame, path: Path, step: Repeat) -> Value:
    value: Value = None
    for _ in range(started(frame, path, step)):
        value = await run_steps(frame, (*path, "repeat"), step.repeat)
        if decided(frame, (*path, "until"), step):
            break
    return value


async def _do(frame: Frame, path: Path, step: Step) -> Value:
    match step:
        case Reason():
            return await reason(frame, step)
        case Generate():
            return await generate(frame, step)
        case Fork():
            return await _fork(frame, path, step)
        case Map():
            return await _map(frame, path, step)
        case Call():
            given = {name: fill(value, frame.values) for name, value in step.arguments.items()}
            return await called_once(frame, step.call, given)
        case Score():
            return await _score(frame, step)
        case Select():
            return _select(frame, step)
        case When() | Repeat():
            raise AssertionError("decided where the steps are run")


async def _fork(frame: Frame, path: Path, step: Fork) -> Value:
    jobs = [
        Job(name, {}, partial(run_steps, path=(*path, "fork", name), steps=steps)) for name, steps in step.fork.items()
    ]
    values = await gathered(frame, jobs, rule_of(step.join, valued=True))
    return await _joined(frame, step.join, dict(zip(step.fork, values, strict=True)))


async def _map(frame: Frame, path: Path, step: Map) -> Value:
    items = _items(fill(step.map, frame.values), frame)[: step.limit]
    body = partial(run_steps, path=(*path, "steps"), steps=step.steps)
    jobs = [Job(_name(item), {step.each: item}, body) for item in items]
    return await _joined(frame, step.join, await gathered(frame, jobs, rule_of(step.join, valued=True)))


async def _joined(frame: Frame, spec: JoinSpec, results: Value) -> Value:
    """The value of a block: the results, or what the model makes of them."""
    if spec.synthesis is None:
        return results
    outer = frame.values
    frame.values = {**outer, "branches": results}
    try:
        return await generate(frame, Generate(spec.synthesis), Kind.synthesis)
    finally:
        frame.values = outer


async def _score(frame: Frame, step: Score) -> Value:
    given = fill(step.score, frame.values)
    items = given if is_list(given) else [given]
    if step.by is not None:
        arguments = {name: fill(value, frame.values) for name, value in step.arguments.items()}
        scores = [await _number_by(frame, step.by, item, arguments) for item in items]
    else:
        jobs = [Job(_name(item), {"item": item}, partial(_rate, step=step)) for item in items]
        scores = await gathered(frame, jobs, JoinRule())
    return scores if is_list(given) else scores[0]


async def _number_by(frame: Frame, function: str, item: Value, arguments: Mapping[str, Value]) -> Value:
    score = await called(frame, function, {"item": item, **arguments})
    if isinstance(score, (int, float)):
        return float(score) if isinstance(score, bool) else score
    raise Stopped(End("failed", f"{function} returned {as_json(score)[:60]}; expected a number"))


async def _rate(frame: Frame, step: Score) -> Value:
    """The number that the model writes about one item; null where it writes none."""
    said = await generate(frame, Generate(cast("str", step.prompt), step.mode, step.sampling, step.marker))
    numbers = _NUMBER.findall(as_text(said))
    if not numbers:
        return None
    written = numbers[0 if step.marker else -1]
    return float(written) if re.search(r"[.eE]", written) else int(written)


def _select(frame: Frame, step: Select) -> Value:
    items = _list(fill(step.select, frame.values))
    scores = [] if step.scores is None else _list(fill(step.scores, frame.values))
    if step.scores is not None and len(scores) != len(items):
        raise WorkflowError((f"{len(scores)} scores for {len(items)} items; expected one for each",))
    count = 1 if step.count is None else _count(step.count, frame, "items", MAX_CHOSEN)
    picked = chosen(items, step.by, scores, count, blank=step.blank == "keep")
    return picked if step.count is not None else next(iter(picked), None)


def _items(value: Value, frame: Frame) -> list[Value]:
    """What a map goes over."""
    if isinstance(value, int) and not isinstance(value, bool):
        most = frame.program.settings.budget.run_branches
        if not 0 <= value <= most:
            raise WorkflowError((f"{value} branches; expected 0 to {most}, the run's budget of branches",))
        return list(range(1, value + 1))
    return _list(value)


def _list(value: Value) -> list[Value]:
    if is_list(value):
        return list(value)
    raise WorkflowError((f"{as_json(value)[:60]} where a list is needed",))


def _count(given: Data, frame: Frame, what: str, most: int) -> int:
    value = fill(given, frame.values)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return value
    raise WorkflowError((f"{as_json(value)[:60]} {what}; expected an integer from 1 to {most}",))


def _name(item: Value) -> str:
    return as_text(item)[:_NAMED]
