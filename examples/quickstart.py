"""One question to the shipped model, and what its run cost: the Python door."""

import anyio

from apr_agents import RunResult, Settings, account, load_dialect, open_engine, run


async def main() -> RunResult:
    """Ask, and print the answer and three figures of the account."""
    async with open_engine("embedded") as engine:
        result = await run(engine, "Numbers: 26 45 27 21 Target: 18", Settings(load_dialect("threadweaver")))
    report = account(result.trace)
    print(result.answer)
    print(f"{report.tokens.generated} tokens, {report.tokens.critical} of them on the critical path")
    print(f"prefix reuse {report.reuse:.3f}")
    return result


if __name__ == "__main__":
    anyio.run(main)
