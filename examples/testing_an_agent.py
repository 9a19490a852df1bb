"""Test what your program does with a run, without a model: a script says what each branch says, on a virtual clock."""

import anyio

from apr_agents import Budget, RunResult, Settings, account, load_dialect, run
from apr_agents.engines.scripted import Reply, ScriptedEngine

PLAN = "<Parallel>\n<Outlines>\n<Outline>1: the left half</Outline>\n<Outline>2: the right half</Outline>\n</Outlines>"


async def main() -> RunResult:
    """Two branches of an hour and of two; the run takes two hours, and no time at all."""
    script = {
        "": [PLAN, "both halves hold"],
        "1.1": Reply(" it holds</Thread>", token_seconds=900),
        "1.2": Reply(" it holds as well</Thread>", token_seconds=900),
    }
    dialect = load_dialect("threadweaver")
    async with ScriptedEngine(script, dialect) as engine:
        result = await run(engine, "Does it hold?", Settings(dialect, budget=Budget(seconds=86_400)))
    print(result.answer, f"after {account(result.trace).seconds.wall / 3600:.2f} hours")
    return result


if __name__ == "__main__":
    anyio.run(main)
