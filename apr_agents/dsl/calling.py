"""Calls of functions by the author: a span of their own, and a JSON value that comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import cast

from apr_agents.dsl.frame import Frame, Stopped
from apr_agents.dsl.values import Value, as_json, is_list
from apr_agents.errors import CallError
from apr_agents.runner.calls import called_by
from apr_agents.runner.limits import limited
from apr_agents.runner.shared import End, place
from apr_agents.trace import Kind

MAX_RESULT = 1_000_000
"""Characters of a result, as JSON."""
MAX_LEVELS = 100
"""Lists and mappings inside one another. What is stored of a run may have twice that, with the result inside others."""


async def called(frame: Frame, name: str, arguments: Mapping[str, Value]) -> Value:
    """What this function returns for these arguments. Raises Stopped, also for what it raised, and when its own
    seconds are over."""
    function, recorder = frame.program.functions[name], frame.recorder
    try:
        async with place(frame.shared, recorder):
            recorder.open(Kind.call)
            # By its span, whose name is the same when the run is resumed: a branch may call several times.
            with called_by(frame.shared.run_id, f"{frame.path}#{recorder.mark()[0]}"):
                call = partial(function.returned, as_json(arguments))
                value = _plain(name, await limited(function, frame.shared.engine.clock, call))
    except CallError as error:
        recorder.close("failed")
        raise Stopped(End("failed", str(error))) from error
    except BaseException:  # a cancellation, too: no span stays open
        recorder.close("cancelled")
        raise
    recorder.close()
    return value


def _plain(name: str, result: object) -> Value:
    """The result as a JSON value; its text where it is none. Raises CallError for one that is neither, or too long."""
    try:
        text = json.dumps(result, ensure_ascii=False, allow_nan=False)
        text.encode()
    except Exception:  # a foreign value may raise anything when it is looked at
        text = _as_text(name, result)
    if len(text) > MAX_RESULT:
        raise CallError(f"@{name} returned {len(text)} characters as JSON; a value may have {MAX_RESULT}")
    value = cast("Value", json.loads(text))
    if _levels(value) > MAX_LEVELS:
        raise CallError(f"@{name} returned a value of more than {MAX_LEVELS} levels; expected a flatter one")
    return value


def _levels(value: Value) -> int:
    """How many lists and mappings are inside one another."""
    levels, inside = 0, [value]
    while inside := [one for one in inside if is_list(one) or isinstance(one, Mapping)]:
        levels += 1
        inside = [part for one in inside for part in (one.values() if isinstance(one, Mapping) else one)]
    return levels


def _as_text(name: str, result: object) -> str:
    try:
        return json.dumps(str(result).encode("utf-8", "replace").decode(), ensure_ascii=False)
    except Exception as error:  # nor may it be able to say what it is
        kind = type(result).__name__
        raise CallError(f"@{name} returned a {kind} that is neither JSON nor text") from error
