"""What `apr run` prints for people, and where it stores a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from apr_agents.accounting import account
from apr_agents.cli.refusal import Refusal
from apr_agents.dsl.live import Answered
from apr_agents.report.json import Check, RunOutput, run_to_json
from apr_agents.report.text import render
from apr_agents.trace import Trace


def say(question: str, answered: Answered) -> None:
    """The question, the answer, what the check says of it, and the account of the run, on standard output."""
    console = Console(highlight=False)
    result = answered.result
    console.print(Text.assemble(("question  ", "dim"), question.strip()))
    console.print(Text.assemble(("answer    ", "dim"), (answered.answer or "none", "bold")))
    if answered.verdict is not None:
        style = "green" if answered.verdict.ok else "bold red"
        verdict = "right" if answered.verdict.ok else "wrong"
        console.print(Text.assemble(("check     ", "dim"), (verdict, style), f": {answered.verdict.detail}"))
    if not result.ok:
        console.print(Text.assemble(("ended     ", "dim"), (result.ended, "bold red"), f": {result.detail}"))
    console.print()
    console.print(render(account(result.trace)))


def as_object(answered: Answered) -> dict[str, Any]:
    """The one object of `--json`."""
    result, verdict = answered.result, answered.verdict
    report = account(result.trace)
    check = Check(answered.check, verdict.ok, verdict.detail) if answered.check and verdict else None
    return run_to_json(
        RunOutput(
            answer=answered.answer,
            text=result.text,
            ended=result.ended,
            verdict=check,
            error=result.detail or None,
            run_id=report.run_id,
            engine=report.engine,
            dialect=report.dialect,
            mode=report.mode,
            notes=report.notes,
            report=report,
        )
    )


def write_trace(file: Path, trace: Trace) -> None:
    """Store the trace. Raises Refusal when the file cannot be written."""
    try:
        file.write_text(trace.dump() + "\n", encoding="utf-8")
    except OSError as error:
        raise Refusal(f"{file}: {error.strerror}") from error
