"""Join as soon as one branch has found a solution: the others are cancelled in the engine."""

import anyio

from apr_agents import JoinRule, Outcome, RunResult, Settings, account, load_dialect, open_engine, run

QUESTION = "Numbers: 26 45 27 21 Target: 18"


def found(outcome: Outcome) -> bool:
    """Whether this branch says that it hit the target."""
    return " hit " in outcome.text


async def main() -> tuple[RunResult, RunResult]:
    """The same question under both rules, and the tokens that each needed."""
    dialect = load_dialect("threadweaver")
    async with open_engine("embedded") as engine:
        every = await run(engine, QUESTION, Settings(dialect))
        first = await run(engine, QUESTION, Settings(dialect, join=JoinRule("first", until=found)))
    for name, result in (("all", every), ("first success", first)):
        tokens = account(result.trace).tokens
        print(f"{name:<14} {tokens.generated:>5} tokens, {tokens.critical:>4} on the critical path  {result.answer}")
    return every, first


if __name__ == "__main__":
    anyio.run(main)
