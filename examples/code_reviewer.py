"""A code reviewer: a workflow in decorators that looks at every file at the same time, and sums up what was found.

python examples/code_reviewer.py sglang:http://127.0.0.1:30000 apr_agents/clock.py apr_agents/paths.py
"""

import sys
from pathlib import Path

import anyio

from apr_agents import account
from apr_agents.dsl.decorators import (
    BudgetSpec,
    JoinSpec,
    Reference,
    SamplingSpec,
    Texts,
    Traced,
    branch,
    map,
    reason,
    workflow,
)
from apr_agents.dsl.live import Answered
from apr_agents.engines.base import Engine

SHORT = SamplingSpec(max_tokens=400)


@branch
def read(path: str) -> str:
    """A file's text, as far as a prompt has room for it."""
    return Path(path).read_text(encoding="utf-8")[:2_000]


@workflow(budget=BudgetSpec(tokens=20_000))
def review(files: Texts, care: str = "bugs, unclear names, missing bounds") -> Traced:
    """One branch a file; the model may fork inside of it."""

    @branch
    def one(path: Reference) -> Traced:
        code = yield read(path, as_="code")
        yield reason(f"Review {path} for {care}. Name the lines.\n\n{code}", sampling=SHORT)

    yield map(files, one, join=JoinSpec(synthesis="Which of these findings matter most?\n\n${branches}"))


async def main(engine: Engine | str, files: list[str]) -> Answered:
    """Review these files, and print what was found and which file took longest."""
    answered = await review.run(engine, files=files)
    report = account(answered.result.trace)
    print(answered.answer or answered.result.detail)
    for fork in report.forks:
        print(f"{fork.straggler} was last; {report.tokens.generated} tokens, {report.tokens.critical} on the path")
    return answered


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2:])
