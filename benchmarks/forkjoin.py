"""One scripted trajectory, said in sequence, by fork and join, and by fork and join with text encoded again.

Per engine and for 1 to 128 branches: what the engine had in its cache at each fork and join, by its own count; wall
times as ratios within one round; and, where the engine tells its own times, the wall time over those of its critical
path. Every way through a round says the same text behind a prompt of its own, so that none finds another's cache.
"""

from __future__ import annotations

import time

import anyio

from apr_agents import Budget, Settings, load_dialect, run
from apr_agents.engines.base import Engine
from benchmarks.figure import show
from benchmarks.forkjoin_figures import Measured, Round, Way, figures, markdown, measured
from benchmarks.reencoding import ReencodingEngine
from benchmarks.script import END, Prompter, Script, write
from benchmarks.server import Served, engine_arguments, serving
from benchmarks.speakers import speaker

COUNTS = (1, 2, 4, 8, 16, 32, 64, 128)
RESPELLED = 0.01
"""Share of tokens that are spelled otherwise than an encoder would."""
DIALECT = load_dialect("threadweaver")
WAYS: tuple[Way, ...] = ("sequence", "forked", "again", "forked respelled", "again respelled")


class Stage:
    """An open engine that says scripts. Its mutable state is how many prompts it has had: each has another."""

    def __init__(self, engine: Engine, prompter: Prompter) -> None:
        self._engine, self._prompter, self._prompts = engine, prompter, first_prompt()

    async def round(self, branches: int, number: int, tokens: int | None) -> Round:
        """Every way once, with the same text; another one begins in each round."""
        found: Round = {}
        for place in range(len(WAYS)):
            way = WAYS[(number + place) % len(WAYS)]
            self._prompts += 1
            respelled = RESPELLED if "respelled" in way else 0.0
            script = write(branches, number, prompt=self._prompts, tokens=tokens, respelled=respelled)
            found[way] = await self._measure(way, script)
        return found

    async def _measure(self, way: Way, script: Script) -> Measured:
        engine = ReencodingEngine(self._engine) if "again" in way else self._engine
        if way == "sequence":
            ids = self._engine.encode(script.joined + END, control=True) or ()
            self._prompter.take_whole(script.joined, ids)
        else:
            self._prompter.take(script, self._engine.encode)
        wanted = settings(script, self._prompter.longest, sequential=way == "sequence")
        result = await run(engine, script.question, wanted)
        if not result.ok or result.text != script.joined:
            said = result.detail or f"{result.text[:200]!r}"
            raise RuntimeError(f"{way}, {len(script.branches)} branches: not what the script says: {said}")
        headers = [
            len(self._engine.encode(f"\n<Thread>{n + 1}:", control=True) or ()) for n in range(len(script.branches))
        ]
        return measured(result, headers)


def settings(script: Script, longest: int, *, sequential: bool) -> Settings:
    """No bound of these is reached; a request's limit is tight, since servers keep room for what may come."""
    branches = len(script.branches)
    budget = Budget(branches=branches, run_branches=branches, concurrency=branches, tokens=2**20)
    mode = "sequential" if sequential else "adaptive"
    return Settings(DIALECT, mode=mode, template_mode="sequential", budget=budget, max_tokens=longest + 16)


def first_prompt() -> int:
    """Another one in each process: a server may remember the prompts of the one before."""
    return time.time_ns() // 1000 % 10**9


async def rounds(
    served: Served, counts: list[int], repeats: int, tokens: int | None
) -> tuple[int, dict[int, list[Round]]]:
    """The engine's page, and by number of branches the rounds; one round before them is thrown away."""
    prompter = Prompter()
    async with speaker(served, prompter) as engine:
        stage = Stage(engine, prompter)
        await stage.round(max(counts), repeats, 12)
        found = {count: [await stage.round(count, number, tokens) for number in range(repeats)] for count in counts}
        return engine.info.page, found


def main() -> None:
    """Print the figures, and to standard error a table by the number of branches."""
    arguments = engine_arguments(__doc__)
    arguments.add_argument("--branches", type=int, nargs="+", default=list(COUNTS))
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--tokens", type=int, help="of a branch at least; 100, less above 16 branches, unless given")
    options = arguments.parse_args()
    with serving(options.engine, options.processor) as engine:
        page, found = anyio.run(rounds, engine, options.branches, options.repeats, options.tokens)
    name = engine.name
    show(figures(name, page, found))
    markdown(name, found)


if __name__ == "__main__":
    main()
