"""The schema of `apr run --json` against real output, and against output that is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from apr_agents.accounting import account
from apr_agents.report.json import Check, RunOutput, run_to_json, to_json
from apr_agents.report.schema import run_schema
from apr_agents.trace import Trace
from tests.support.traces import traces

SCHEMA = run_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def output(trace: Trace) -> dict[str, Any]:
    report = account(trace)
    return run_to_json(
        RunOutput(
            answer=None,
            text="<Parallel>",
            ended=report.ended,
            verdict=Check("countdown", ok=False, detail="no equation"),
            error="the run's budget of tokens is used up",
            run_id=report.run_id,
            engine=report.engine,
            dialect=report.dialect,
            mode=report.mode,
            notes=report.notes,
            report=report,
        )
    )


@settings(max_examples=40)
@given(traces())
def test_every_run_is_as_the_schema_says(trace: Trace) -> None:
    said = json.loads(json.dumps(output(trace), allow_nan=False))
    VALIDATOR.validate(said)
    assert said["report"] == to_json(account(trace))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def objects() -> list[dict[str, Any]]:
    return [each for each in (SCHEMA, *SCHEMA["$defs"].values()) if each.get("type") == "object"]


@pytest.mark.parametrize("described", objects(), ids=lambda each: each["title"])
def test_every_property_is_required_and_described_and_there_is_no_other(described: dict[str, Any]) -> None:
    assert described["additionalProperties"] is False
    assert sorted(described["required"]) == sorted(described["properties"])
    assert [name for name, each in described["properties"].items() if not each.get("description")] == []


NAMES = {
    "": "answer text ended verdict error run_id engine dialect mode notes report",
    "Report": "tokens acceleration_ratio self_parallelism seconds forks threadweaver missing",
    "TokenFigures": "generated critical prompt cached reusable join_prefill prefilled wasted",
    "SecondFigures": "wall critical residual by_kind",
    "KindSeconds": "client queue prefill decode tool join_wait synthesis human",
    "ForkFigures": "branches straggler",
    "BranchFigures": "path outline kind outcome tokens seconds slack_seconds",
    "Check": "name ok detail",
    "ThreadWeaverFigures": "total_num_tokens num_tokens_in_the_longest_thread acceleration_ratio parallel_ratio",
}


@pytest.mark.parametrize("name", NAMES)
def test_the_names_that_others_read_are_kept(name: str) -> None:
    described = SCHEMA["$defs"][name] if name else SCHEMA
    assert set(NAMES[name].split()) <= set(described["properties"])
