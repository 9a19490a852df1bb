"""The driver's own time a chunk: said again from memory, a run takes the same chunks and says the same."""

from __future__ import annotations

import pytest

from benchmarks.forkjoin import settings
from benchmarks.metered import play
from benchmarks.script import Prompter, write
from benchmarks.server import Served
from benchmarks.speakers import speaker


@pytest.mark.parametrize("spec", ["scripted", "embedded"])
async def test_a_run_from_memory_takes_the_same_chunks(spec: str) -> None:
    prompter, script = Prompter(), write(3, 1, tokens=12)
    async with speaker(Served(spec), prompter) as engine:
        prompter.take(script, engine.encode)
        wanted = settings(script, prompter.longest, sequential=False)
        placed = await play(engine, script, wanted)
        again = await play(engine, script, wanted, placed.said)
    assert again.said == placed.said
    assert set(placed.said) == {"", "1.1", "1.2", "1.3"}
    # The chunk with the finish ends the reading, so nothing is taken behind it.
    requests = sum(map(len, placed.said.values()))
    chunks = sum(len(said) for turns in placed.said.values() for said in turns)
    assert len(again.taken) == len(placed.taken) == chunks - requests
    assert min(placed.taken) > 0
