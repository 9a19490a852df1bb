"""Accounts made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apr_agents.accounting import KindSeconds, Report, WhatIf, account
from apr_agents.accounting.figures import TokenFigures
from apr_agents.trace import Span, Trace
from tests.accounting import examples
from tests.support.plans import TICK

TOKENS = {
    "sequential": TokenFigures(20, 20, 0, 100, 0, 80, 0, 80, 100, 0, 0),
    "two_branches": TokenFigures(100, 90, 0, 400, 210, 320, 210, 320, 190, 30, 0),
    "first_success": TokenFigures(145, 25, 120, 400, 0, 320, 0, 320, 400, 100, 0),
    "deadline": TokenFigures(85, 35, 50, 400, 0, 320, 0, 320, 400, 100, 0),
    "nested": TokenFigures(28, 23, 0, 700, 0, 560, 0, 560, 700, 200, 0),
    "cut_off": TokenFigures(45, 35, 0, 300, 0, 240, 0, 240, 300, 0, 0),
}
SECONDS = {
    "sequential": KindSeconds(1, 0, 1, 2, 0, 0, 0, 0, 0),
    "two_branches": KindSeconds(2, 0, 1, 8, 0, 0, 2, 0, 0),
    "first_success": KindSeconds(0, 0, 0, 3, 3, 0, 0, 0, 0),
    "deadline": KindSeconds(0, 0, 0, 2, 0, 5, 0, 0, 0),
    "nested": KindSeconds(1, 0, 0, 12, 0, 0, 0, 0, 0),
    "cut_off": KindSeconds(0, 0, 0, 5, 0, 0, 0, 0, 0),
}


def report_of(name: str) -> Report:
    return account(getattr(examples, name)())


@pytest.mark.parametrize("name", TOKENS)
def test_tokens(name: str) -> None:
    assert report_of(name).tokens == TOKENS[name]


@pytest.mark.parametrize("name", SECONDS)
def test_seconds(name: str) -> None:
    seconds = report_of(name).seconds
    assert seconds.by_kind == SECONDS[name]
    assert seconds.residual == TICK


WHAT_IFS = {
    "sequential": [WhatIf("reuse", None, "with every reusable token from the cache", 0.8, 0)],
    "two_branches": [
        WhatIf("lead", "1.2", "without branch 1.2's lead over the next slowest", 2, 0),
        # Branch 1.2 evaluated 20 reusable tokens of 40 again in 1 s, the synthesis 10 of 30 in 2 s.
        WhatIf("reuse", None, "with every reusable token from the cache", 0.5 + 2 / 3, 0),
    ],
    "first_success": [],
    "deadline": [WhatIf("deadline", "", "without the wait for the deadline of block 1", 3, 0)],
    "nested": [
        WhatIf("lead", "1.2", "without branch 1.2's lead over the next slowest", 7, 7),
        WhatIf("lead", "1.2/1.2", "without branch 1.2/1.2's lead over the next slowest", 4, 4),
    ],
    "cut_off": [],
}


@pytest.mark.parametrize("name", WHAT_IFS)
def test_what_would_have_helped(name: str) -> None:
    found = report_of(name).what_ifs
    assert [replace(change, seconds=pytest.approx(change.seconds)) for change in WHAT_IFS[name]] == list(found)


def test_branches_have_slack_and_joins_have_stragglers() -> None:
    outer, inner = report_of("nested").forks
    assert (outer.path, outer.straggler, outer.lead_seconds) == ("", "1.2", 7)
    assert (inner.path, inner.straggler, inner.lead_seconds) == ("1.2", "1.2/1.2", 4)
    found = [(branch.path, branch.tokens, branch.seconds, branch.slack_seconds) for branch in outer.branches]
    assert found == [("1.1", 2, 2, 7), ("1.2", 12, 9, 0)]
    assert [(branch.critical, branch.critical_tokens) for branch in inner.branches] == [(False, False), (True, True)]


def test_tokens_and_seconds_have_their_own_critical_branch() -> None:
    first, second = report_of("two_branches").forks[0].branches
    assert (first.critical, first.critical_tokens) == (False, True)
    assert (second.critical, second.critical_tokens) == (True, False)


def test_a_join_goes_on_from_its_trigger_and_its_losers_are_wasted() -> None:
    report = report_of("first_success")
    fork = report.forks[0]
    assert (fork.trigger, fork.straggler, fork.lead_seconds, fork.wasted_tokens) == ("1.2", "1.2", None, 120)
    assert [branch.slack_seconds for branch in fork.branches] == [None, 0, None]
    assert report.acceleration_ratio == 1 - 25 / 145
    assert report.acceleration_ratio_without_waste == 0
    assert report.self_parallelism == 145 / 25


def test_a_join_that_waits_for_its_deadline_has_no_straggler() -> None:
    fork = report_of("deadline").forks[0]
    assert (fork.straggler, fork.lead_seconds) == (None, None)
    assert [branch.slack_seconds for branch in fork.branches] == [3, None]


def test_reuse_leaves_out_what_other_runs_left_in_the_cache() -> None:
    trace = examples.two_branches()
    assert account(trace).reuse == 210 / 320
    warm = replace(trace, spans=tuple(_cached(trace, 100)))
    report = account(warm)
    assert (report.tokens.cached, report.tokens.reused, report.reuse) == (400, 320, 1.0)


def test_an_engine_that_tells_little() -> None:
    report = account(replace(examples.two_branches(), spans=tuple(_cached(examples.two_branches(), None, silent=True))))
    assert report.tokens.cached is report.tokens.join_prefill is report.reuse is None
    assert report.seconds.by_kind == KindSeconds(2, 0, None, 11, 0, 0, None, 0, 0)
    assert report.missing == {
        "tokens.cached": "4 of 4 engine requests do not tell",
        "tokens.reused": "4 of 4 engine requests do not tell",
        "tokens.reused_of": "4 of 4 engine requests do not tell",
        "tokens.prefilled": "4 of 4 engine requests do not tell",
        "tokens.join_prefill": "1 of 1 engine requests do not tell",
        "seconds.by_kind.queue": "3 of 3 engine requests do not tell: in decode",
        "seconds.by_kind.prefill": "2 of 2 engine requests do not tell: in decode",
        "seconds.by_kind.synthesis": "1 of 1 engine requests do not tell: in decode",
        "threadweaver": "the engine speaks text, and these figures count ids",
        "reuse": "4 of 4 engine requests do not tell",
    }


def _cached(trace: Trace, cached: int | None, *, silent: bool = False) -> list[Span]:
    return [
        replace(
            span,
            tokens=replace(span.tokens, cached=cached) if span.tokens else None,
            phases=None if silent else span.phases,
        )
        for span in trace.spans
    ]


def test_a_run_without_tokens_has_no_parallelism() -> None:
    trace = replace(examples.sequential(), spans=examples.sequential().spans[:1])
    report = account(trace)
    assert (report.acceleration_ratio, report.self_parallelism, report.reuse) == (0, 1, None)
    assert report.missing["reuse"] == "nothing was reusable"
    assert account(replace(trace, spans=())).seconds.residual == trace.wall


def test_only_losers_generated() -> None:
    trace = examples.first_success()
    spans = [
        replace(span, tokens=replace(span.tokens, generated=0)) if span.tokens and span.path == "" else span
        for span in trace.spans
    ]
    report = account(replace(trace, spans=tuple(spans)))
    assert (report.tokens.generated, report.tokens.critical, report.acceleration_ratio) == (120, 0, 1)
    assert report.self_parallelism is None
    assert report.missing["self_parallelism"] == "no token was generated on the critical path"


TAGS = {"<Parallel>": 1, "</Parallel>": 2, "<Thread>": 3, "</Thread>": 4}
RESPONSE = (7, 1, 7, 7, 3, 7, 7, 7, 4, 3, 7, 4, 2, 7)
"""Two threads of 3 and 1 tokens, between all their four tags and two tokens of outlines."""


def test_threadweaver_counts_every_wrapper_on_the_path() -> None:
    figures = account(replace(examples.two_branches(), response=RESPONSE, tags=TAGS)).threadweaver
    assert figures is not None
    assert figures.total_num_tokens == 14
    assert figures.num_tokens_in_the_longest_thread == 4 + 2 + 4 + 3
    assert figures.acceleration_ratio == 1 - 13 / 14
    assert figures.parallel_ratio == 10 / 14


def test_threadweaver_needs_one_id_a_tag() -> None:
    report = account(replace(examples.two_branches(), response=RESPONSE, tags=None))
    assert report.threadweaver is None
    assert report.missing["threadweaver"] == "a tag of the dialect is not one token here"
