"""Blocks inside branches: with five numbers the shipped model forks, and each of its branches forks again."""

from dataclasses import replace

import anyio

from apr_agents import RunResult, Settings, account, load_dialect, open_engine, run


async def main() -> RunResult:
    """Ask in the `nested` mode, and print the tree of branches."""
    dialect = replace(load_dialect("threadweaver"), nests=True)
    async with open_engine("embedded") as engine:
        settings = Settings(dialect, template_mode="nested")
        result = await run(engine, "Numbers: 3 8 12 5 7 Target: 40", settings)
    for fork in account(result.trace).forks:
        for branch in fork.branches:
            print(f"{'  ' * branch.path.count('/')}{branch.path:<8} {branch.tokens:>5} tokens  {branch.outline}")
    print(result.answer)
    return result


if __name__ == "__main__":
    anyio.run(main)
