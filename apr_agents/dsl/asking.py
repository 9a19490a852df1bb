"""Steps that ask the model: a prompt of their own, a walk behind it, and a value from its text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from apr_agents.dsl.checked import Checked
from apr_agents.dsl.checks import answer_in, run_check
from apr_agents.dsl.frame import Frame, Stopped
from apr_agents.dsl.parts import CheckSpec
from apr_agents.dsl.steps import Generate, Reason
from apr_agents.dsl.templates import fill, render
from apr_agents.dsl.values import Value, as_text, is_list
from apr_agents.engines.base import Message
from apr_agents.errors import EngineError, UsageError
from apr_agents.runner.answer import answer_of
from apr_agents.runner.driver import go
from apr_agents.runner.run import messages
from apr_agents.runner.settings import Settings
from apr_agents.runner.shared import End, engine_errors
from apr_agents.runner.walk import Walk
from apr_agents.trace import Kind

MAX_ITEMS = 1_000


async def reason(frame: Frame, step: Reason) -> Value:
    """The model reasons, and may fork. Raises Stopped."""
    given = None if step.outlines is None else fill(step.outlines, frame.values)
    if given is not None and not is_list(given):
        raise Stopped(End("failed", f"the outlines are {as_text(given)[:60]!r}; expected a list of texts"))
    outlines = tuple(as_text(one) for one in given or () if one is not None)
    try:
        settings = frame.program.reasoning(step, outlines)
    except UsageError as error:
        raise Stopped(End("failed", str(error))) from error
    text, end = await ask(frame, render(step.reason, frame.values), settings)
    return await _valued(frame, step, text, end, done=("eos", "closed"))


async def generate(frame: Frame, step: Generate, kind: Kind = Kind.decode) -> Value:
    """The model writes on. A limit of the step's own is no failure. Raises Stopped."""
    settings = frame.program.generating(step.mode, step.sampling)
    text, end = await ask(frame, render(step.generate, frame.values), settings, kind)
    return await _valued(frame, step, text, end, done=("eos", "closed", "max_tokens"))


async def ask(frame: Frame, question: str, settings: Settings, kind: Kind = Kind.decode) -> tuple[str, End]:
    """What the model wrote as its answer, and why it ended there. Raises Stopped where there is no prompt."""
    shared = replace(frame.shared, settings=settings)
    engine, recorder = shared.engine, frame.recorder
    asked = messages((Message("user", question),), settings, engine.info.dialects)
    recorder.open(Kind.client)
    try:
        with engine_errors("the engine could not make the prompt"):
            prompt = engine.prompt(asked, settings.variables)
    except EngineError as error:
        recorder.close("failed")
        raise Stopped(End("failed", str(error))) from error
    recorder.close()
    walk = Walk(shared, frame.path, prompt, recorder, frame.allowance, None, frame.deadline)
    frame.begin(prompt, walk)
    try:
        end = await go(walk, kind)
    finally:
        frame.end(walk)
    return answer_of(frame.texts[-1], settings.dialect), end


async def _valued(frame: Frame, step: Reason | Generate, text: str, end: End, done: Sequence[str]) -> Value:
    """The value of a step that wrote this text. Raises Stopped where it ended for any other reason than these."""
    answer = answer_in(text, step.answer)
    if step.check is not None:
        frame.verdict = step.check.name, check(frame, step.check, answer)
        if frame.path.depth:
            name, verdict = frame.verdict
            said = "right" if verdict.ok else "wrong"
            frame.recorder.notes.append(f"branch {frame.path}: check {name}: {said}: {verdict.detail}")
    value: Value = answer if step.items is None else found(step.items, answer or "")
    if end.reason not in done:
        frame.partial = value
        raise Stopped(end)
    return value


def check(frame: Frame, spec: CheckSpec, answer: str | None) -> Checked:
    """What the named check says of this answer."""
    return run_check(spec, answer, frame.values, frame.program.checks)


def found(pattern: str, text: str) -> list[Value]:
    """All places in the text where this expression is found: its first group, or all of it where it has none."""
    matches = re.finditer(pattern, text)
    return [one[1] if one.re.groups else one[0] for one in islice(matches, MAX_ITEMS)]
