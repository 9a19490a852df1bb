"""A run that keeps its decoding: killed anywhere and resumed, it is the same run, and asks nothing twice."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from apr_agents.dialects import Dialect
from apr_agents.engines.base import Request
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.errors import ContextError, PlanChanged
from apr_agents.runner import Budget, Function, RunResult, Settings, run
from apr_agents.runner.journal import Json
from apr_agents.runner.settings import request_seed
from tests.runner.test_replay import FUNCTIONS, NESTING, SCRIPT
from tests.support.replay import Record, RecordingSpawner, ReplayingSpawner
from tests.support.scripts import QUESTION, THREADWEAVER, block, closed


class Killed(BaseException):
    """The process ends here."""


class Notebook:
    """A journal in memory; its mutable state is what it keeps, as JSON text, and how many more pieces it may take."""

    def __init__(self, kept: dict[str, str] | None = None, lives: int = 1_000) -> None:
        self.kept = dict(kept or {})
        self.made: list[str] = []
        self.sealed = 0
        self._lives = lives

    async def keep(self, name: str, work: Callable[[], Awaitable[Json]]) -> Json:
        if name not in self.kept:
            if not self._lives:
                raise Killed
            self._lives -= 1
            self.kept[name] = json.dumps(await work())
            self.made.append(name)
        return json.loads(self.kept[name])

    async def seal(self) -> None:
        self.sealed += 1


def _settings(budget: Budget | None = None) -> Settings:
    """Whole requests are pieces here; those in stretches are in `test_early`."""
    return Settings(NESTING, functions=FUNCTIONS, budget=budget or Budget(), eager=False)


async def _run(notebook: Notebook, record: Record, settings: Settings) -> tuple[RunResult, ScriptedEngine]:
    engine = ScriptedEngine(_replies, settings.dialect)
    spawner = ReplayingSpawner(record)
    return await run(engine, QUESTION, settings, spawner=spawner, journal=notebook, run_id="r"), engine


def _replies(request: Request) -> str | Reply:
    """What the script says to this request, which tells its turn by its seed: a resumed run asks from the middle."""
    said = SCRIPT[str(request.path)]
    turns = [said] if isinstance(said, (str, Reply)) else said
    seeds = [request_seed(0, request.path, turn) for turn in range(1, len(turns) + 1)]
    return turns[seeds.index(request.sampling.seed)]


async def test_pieces_are_named_by_path_kind_and_place() -> None:
    notebook = Notebook()
    result, _ = await _run(notebook, Record(), _settings())
    assert result.text.endswith("the end")
    assert sorted(notebook.kept) == sorted(name for name in notebook.made)
    assert {"decode#1", "synthesis#2", "synthesis#3", "1.1/decode#1", "1.1/synthesis#2"} <= set(notebook.kept)
    assert notebook.sealed == len(result.trace.blocks) == 3


@pytest.mark.parametrize("lives", range(6))
async def test_a_run_killed_after_any_piece_goes_on_from_there(lives: int) -> None:
    whole, _ = await _run(Notebook(), Record(), _settings())
    notebook = Notebook(lives=lives)
    spawner = RecordingSpawner()
    engine = ScriptedEngine(_replies, NESTING)
    with pytest.raises((Killed, BaseExceptionGroup)):
        await run(engine, QUESTION, _settings(), spawner=spawner, journal=notebook, run_id="r")
    kept = notebook.kept
    again, _ = await _run(resumed := Notebook(kept), _ended(spawner.record), _settings())
    assert not set(resumed.made) & set(kept)
    assert again.text == whole.text
    assert again.ended == whole.ended
    assert [(branch.path, branch.outcome) for branch in again.trace.branches] == [
        (branch.path, branch.outcome) for branch in whole.trace.branches
    ]
    assert [span.id for span in again.trace.spans] == [span.id for span in whole.trace.spans]
    assert _generated(again) == _generated(whole)


def _ended(record: Record) -> Record:
    """Without what the end of the process cancelled: no process tells that of itself."""
    cancelled = [name for name, kept in record.outcomes.items() if json.loads(kept)["branch"]["outcome"] == "cancelled"]
    for name in cancelled:
        del record.outcomes[name]
    return record


def _generated(result: RunResult) -> int:
    return sum(span.tokens.generated for span in result.trace.spans if span.tokens)


async def test_what_was_kept_counts_against_the_budget() -> None:
    """The request behind a resume may have as many tokens as it could have without."""
    settings = _settings(Budget(tokens=300))
    notebook = Notebook()
    _, whole = await _run(notebook, Record(), settings)
    first = {name: notebook.kept[name] for name in ("decode#1",)}
    _, resumed = await _run(Notebook(first), Record(), settings)
    asked = [(str(request.path), request.max_tokens, request.sampling.seed) for request in whole.requests]
    again = [(str(request.path), request.max_tokens, request.sampling.seed) for request in resumed.requests]
    assert sorted(again) == sorted(asked[1:])


async def test_seconds_go_on_where_they_were() -> None:
    script = {"": [Reply(block("a"), token_seconds=1), Reply("end", token_seconds=1)], "1.1": closed(" x")}
    settings = Settings(THREADWEAVER)
    notebook, recording = Notebook(), RecordingSpawner()
    whole = await run(
        ScriptedEngine(script, THREADWEAVER), QUESTION, settings, spawner=recording, journal=notebook, run_id="r"
    )
    kept = {"decode#1": notebook.kept["decode#1"]}
    late = ScriptedEngine({**script, "": script[""][1]}, THREADWEAVER)
    again = await run(late, QUESTION, settings, journal=Notebook(kept), run_id="r")
    assert again.trace.wall == whole.trace.wall > 2
    assert [(span.start, span.end) for span in again.trace.spans] == [
        (span.start, span.end) for span in whole.trace.spans
    ]


async def test_a_run_that_had_used_its_seconds_ends_at_once() -> None:
    script = {"": [Reply(block("a"), token_seconds=1), Reply("a long end", token_seconds=9)], "1.1": closed(" x")}
    notebook = Notebook()
    await run(ScriptedEngine(script, THREADWEAVER), QUESTION, Settings(THREADWEAVER), journal=notebook)
    again = await run(
        ScriptedEngine(script, THREADWEAVER),
        QUESTION,
        Settings(THREADWEAVER, budget=Budget(seconds=2)),
        journal=Notebook({"decode#1": notebook.kept["decode#1"]}),
    )
    assert again.ended == "seconds"


async def _kept(dialect: Dialect = THREADWEAVER) -> tuple[dict[str, str], Record]:
    script = {"": [block("@six", "b"), "end"], "1.2": closed(" x")}
    notebook, spawner = Notebook(), RecordingSpawner()
    functions = {"six": Function("six", lambda: 6)}
    engine = ScriptedEngine(script, dialect)
    given = Settings(dialect, functions=functions, eager=False)
    await run(engine, QUESTION, given, spawner=spawner, journal=notebook)
    return notebook.kept, spawner.record


async def test_a_branch_that_is_planned_otherwise_is_refused() -> None:
    kept, record = await _kept()
    with pytest.raises(PlanChanged, match=r"branch 1\.1 was call '@six', and is reason '@six' now"):
        await run(
            ScriptedEngine({}, THREADWEAVER),
            QUESTION,
            Settings(THREADWEAVER),
            spawner=ReplayingSpawner(record),
            journal=Notebook(kept),
        )


async def test_a_block_that_is_planned_otherwise_is_refused() -> None:
    kept, record = await _kept()
    with pytest.raises(PlanChanged, match="block 1 of the run was planned as"):
        await run(
            ScriptedEngine({}, THREADWEAVER),
            QUESTION,
            Settings(replace(THREADWEAVER, max_outlines=1, name="other"), mode="sequential"),
            spawner=ReplayingSpawner(record),
            journal=Notebook(kept),
        )


@pytest.mark.parametrize(
    ("where", "value"), [("segment", {"text": "x"}), ("finish", None), ("spans", 3), ("plan", ["x"])]
)
async def test_an_altered_piece_is_refused(where: str, value: object) -> None:
    kept, record = await _kept()
    piece = {**json.loads(kept["decode#1"]), where: value}
    with pytest.raises(ContextError):
        await run(
            ScriptedEngine({}, THREADWEAVER),
            QUESTION,
            Settings(THREADWEAVER),
            spawner=ReplayingSpawner(record),
            journal=Notebook({"decode#1": json.dumps(piece)}),
        )
