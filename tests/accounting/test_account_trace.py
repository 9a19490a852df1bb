"""Stored traces: what `dump` writes comes back equal, and what is not a trace of a run is refused with its place."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.accounting import account
from apr_agents.errors import TraceError
from apr_agents.report.text import plain
from apr_agents.trace import Trace
from tests.accounting.examples import nested
from tests.support.traces import traces


@given(traces())
def test_a_stored_trace_comes_back_equal(trace: Trace) -> None:
    assert Trace.load(trace.dump()) == trace
    assert Trace.load(trace.dump().encode()) == trace


def test_a_trace_of_version_1_still_loads() -> None:
    old = replace(nested(), version=1)
    assert Trace.load(old.dump()) == old
    assert account(Trace.load(old.dump())) == account(nested())


def changed(*keys: str | int, to: object) -> str:
    """A stored trace with one value changed."""
    data = json.loads(nested().dump())
    inner = data
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    return json.dumps(data)


REFUSED = {
    "": "not a trace: the whole: Invalid JSON",
    "[]": "not a trace: the whole: Input should be an object",
    '{"answer": "1"}': "not a trace: run_id: Field required",
    changed("version", to=9): "a trace of version 9; this is apr-agents for versions 1 and 2",
    changed("spans", 0, "kind", to="sleep"): "not a trace: spans.0.kind: Input should be",
    changed("spans", 1, "id", to="#1"): "not a trace of a run: spans.1.id: '#1' is there twice",
    changed("spans", 1, "id", to="1.1#7"): "not a trace of a run: spans.1.id: '1.1#7' is not a branch path, '#' and",
    changed("spans", 1, "path", to="x"): "not a trace of a run: spans.1.id: '#2' is not a branch path",
    changed("spans", 1, "after", 0, "span", to="#9"): "not a trace of a run: spans.1.after: '#9' is not an earlier",
    changed("spans", 1, "after", 0, "kind", to="join"): "not a trace of a run: spans.1.after: '#1' is not of a branch",
    changed("spans", 1, "end", to=0.0): "not a trace of a run: spans.1: it starts at 1.0 s and ends at 0.0 s",
    changed("spans", 1, "start", to=-1.0): "not a trace of a run: spans.1: it starts at -1.0 s",
    changed("spans", 1, "end", to=float("inf")): "not a trace of a run: spans.1: it starts at 1.0 s and ends at inf s",
    changed("spans", 1, "tokens", "cached", to=101): "not a trace of a run: spans.1.tokens: more of the prompt",
    changed("branches", 0, "path", to="7"): "not a trace of a run: branches.0.path: '7' is not the path of a branch",
    changed("branches", 0, "path", to=""): "not a trace of a run: branches.0.path: '' is not the path of a branch",
    changed("blocks", 0, "path", to="1"): "not a trace of a run: blocks.0.path: '1' is not a branch path, such as",
    changed("wall", to=-1): "not a trace of a run: wall: -1.0 s",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=REFUSED.values())
def test_what_is_not_a_trace_of_a_run_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(TraceError) as error:
        Trace.load(text)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"gone\.json: No such file or directory"):
        Trace.read(tmp_path / "gone.json")
    (tmp_path / "bad.json").write_text("no")
    with pytest.raises(TraceError, match=r"bad\.json: not a trace: the whole: Invalid JSON"):
        Trace.read(tmp_path / "bad.json")


def test_a_run_that_still_goes_on_has_an_account() -> None:
    trace = nested()
    for count in range(len(trace.spans) + 1):
        for blocks, branches in ((trace.blocks, trace.branches), (trace.blocks[:1], ()), ((), trace.branches[:2])):
            part = replace(trace, spans=trace.spans[:count], blocks=blocks, branches=branches)
            assert Trace.load(part.dump()) == part
            report = account(part)
            assert report.tokens.critical <= report.tokens.generated
            assert len(report.forks) == len(blocks)
            assert plain(report)


@given(traces(), st.randoms(use_true_random=False))
def test_a_trace_with_one_value_of_another_place_is_refused_or_accounted_for(
    trace: Trace, chance: random.Random
) -> None:
    data = json.loads(trace.dump())
    spans = data["spans"]
    span, other = chance.choice(spans), chance.choice(spans)
    key = chance.choice(["id", "kind", "path", "after", "start", "end", "outcome", "tokens", "phases"])
    span[key] = other[key]
    for edge in span["after"]:
        edge["kind"] = chance.choice(["then", "fork", "join", "trigger", edge["kind"]])
    try:
        report = account(Trace.load(json.dumps(data)))
    except TraceError:
        return
    assert report.tokens.critical <= report.tokens.generated
    assert plain(report)
