"""What the chat model is tested on: a random byte-level model in llama.cpp, and a script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from apr_agents.clock import MonotonicClock
from apr_agents.engines.base import Request
from apr_agents.engines.llamacpp.engine import EmbeddedEngine
from apr_agents.engines.scripted import Reply, Script, ScriptedEngine
from apr_agents.integrations.langchain import ParallelChatModel
from tests.support.random_gguf import RandomModel, write
from tests.support.scripts import THREADWEAVER, block, closed

PLAN = f"Let me split it.\n{block('left', 'right')}"
FORKED: Script = {"": [PLAN, " both hold"], "1.1": closed(" it holds"), "1.2": closed(" as well")}
"""A run of one block with two branches."""
JOINED = f"{PLAN}\n<Thread>1: it holds</Thread>\n<Thread>2: as well</Thread>\n</Parallel>\n both hold"
"""All of its text."""


def by_request(request: Request) -> str | Reply:
    """The same run for any number of questions, since what is said follows from what was asked; JSON where it is."""
    asked = request.context.text
    if "JSON" in asked:
        return '{"setup": "Two cats?", "punchline": "Both hold."}'
    if request.path.depth:
        return closed(" it holds")
    return "Hello you, both hold" if "</Parallel>" in asked else PLAN


def scripted(script: Script = FORKED, **options: Any) -> Callable[[], ScriptedEngine]:
    """A function that makes an engine, as the model takes it."""
    return lambda: ScriptedEngine(script, THREADWEAVER, **options)


def model_of(script: Script = FORKED, **options: Any) -> ParallelChatModel:
    """A model on this script; on a clock that does not wait for other threads, since its callers are some."""
    return ParallelChatModel(engine=scripted(script, clock=MonotonicClock()), **options)


def random_engine(folder: Path) -> EmbeddedEngine:
    """An engine with a model of random weights that goes on to any limit, and needs not be taught the dialect."""
    made = RandomModel(quiet=True, context=2048, metadata={"apr.dialect": THREADWEAVER.name})
    return EmbeddedEngine(write(folder / "random.gguf", made), threads=1)
