"""Laws that every account keeps, over random runs. Times are exact sums, so most of them hold with `==`."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from apr_agents.accounting import BranchFigures, ForkFigures, Report, account
from apr_agents.accounting.graph import Weight, graph, longest
from apr_agents.accounting.joins import block_of
from apr_agents.accounting.weights import second_weight, token_weight
from apr_agents.report.json import to_json
from apr_agents.trace import Edge, Kind, Span, Trace
from tests.support.plans import TICK
from tests.support.traces import traces


@given(traces())
def test_the_critical_path_is_never_longer_than_the_whole(trace: Trace) -> None:
    report = account(trace)
    assert 0 <= report.tokens.critical <= report.tokens.generated - report.tokens.wasted <= report.tokens.generated
    assert 0 <= report.seconds.critical <= report.seconds.wall
    assert 0 <= report.acceleration_ratio_without_waste <= report.acceleration_ratio <= 1
    assert report.self_parallelism is None or report.self_parallelism >= 1
    assert report.reuse is None or 0 <= report.reuse <= 1


@given(traces(depth=0))
def test_without_a_fork_everything_is_on_the_critical_path(trace: Trace) -> None:
    report = account(trace)
    assert report.tokens.critical == report.tokens.generated
    assert report.acceleration_ratio == 0
    assert report.self_parallelism == 1
    assert report.tokens.wasted == 0
    assert report.forks == ()
    assert all(piece.critical for piece in report.timeline)
    assert {change.change for change in report.what_ifs} <= {"reuse", "queue", "retry"}


@given(traces())
def test_the_kinds_sum_to_the_critical_path_and_with_the_residual_to_the_wall(trace: Trace) -> None:
    seconds = account(trace).seconds
    assert sum(part or 0.0 for part in astuple(seconds.by_kind)) == seconds.critical
    assert seconds.critical + seconds.residual == seconds.wall


@given(traces())
def test_what_is_evaluated_ahead_is_on_no_path(trace: Trace) -> None:
    report = account(trace)
    assert not any(piece.critical for piece in report.timeline if piece.kind is Kind.ahead)
    bare = account(replace(trace, spans=tuple(span for span in trace.spans if span.kind is not Kind.ahead)))
    assert (bare.seconds, bare.what_ifs, bare.self_parallelism) == (
        report.seconds,
        report.what_ifs,
        report.self_parallelism,
    )
    assert [replace(fork, ahead=0, ahead_saved_seconds=0) for fork in report.forks] == [
        replace(fork, ahead=0, ahead_saved_seconds=0) for fork in bare.forks
    ]
    assert report.ahead_saved_seconds is None or report.ahead_saved_seconds == sum(
        fork.ahead_saved_seconds or 0 for fork in report.forks
    )


@given(traces())
def test_the_report_of_the_stored_trace_is_the_live_one(trace: Trace) -> None:
    assert account(Trace.load(trace.dump())) == account(trace)


@given(traces())
def test_branches_sum_to_the_totals(trace: Trace) -> None:
    report = account(trace)
    own = sum(span.tokens.generated for span in trace.spans if span.tokens and not span.path)
    outer = [fork for fork in report.forks if not fork.path]
    assert own + sum(branch.tokens for fork in outer for branch in fork.branches) == report.tokens.generated
    assert sum(fork.wasted_tokens for fork in outer) == report.tokens.wasted
    for fork in report.forks:
        inside = {branch.path: branch.tokens for branch in fork.branches}
        for path, tokens in inside.items():
            nested = sum(each.tokens for deeper in report.forks if deeper.path == path for each in deeper.branches)
            mine = sum(span.tokens.generated for span in trace.spans if span.tokens and span.path == path)
            assert tokens == mine + nested


@settings(max_examples=60)
@given(traces(), st.randoms(use_true_random=False))
def test_the_order_of_siblings_in_the_trace_does_not_matter(trace: Trace, chance: random.Random) -> None:
    places = {span.id: place for place, span in enumerate(trace.spans)}
    waiting = list(trace.spans)
    shuffled: list[Span] = []
    while waiting:
        chance.shuffle(waiting)
        known = {span.id for span in shuffled}
        ready = [span for span in waiting if {edge.span for edge in span.after} <= known]
        own = [span for span in ready if _is_next(span, waiting, places)]
        shuffled.append(own[0])
        waiting.remove(own[0])
    branches = list(trace.branches)
    chance.shuffle(branches)
    blocks = list(trace.blocks)
    chance.shuffle(blocks)
    report = account(replace(trace, spans=tuple(shuffled), branches=tuple(branches), blocks=tuple(blocks)))
    assert _without_order(report) == _without_order(account(trace))


def _is_next(span: Span, waiting: list[Span], places: dict[str, int]) -> bool:
    """The spans of one branch keep their order; only concurrent ones change places."""
    return all(places[span.id] <= places[other.id] for other in waiting if other.path == span.path)


def _without_order(report: Report) -> Report:
    return replace(report, timeline=tuple(sorted(report.timeline, key=lambda piece: (piece.path, piece.start))))


@settings(max_examples=60)
@given(traces(), st.randoms(use_true_random=False))
def test_the_names_of_siblings_do_not_matter(trace: Trace, chance: random.Random) -> None:
    names = _new_names(trace, chance)
    report, renamed = account(trace), account(_rename(trace, names))
    assert renamed.tokens == report.tokens
    assert renamed.seconds == report.seconds
    assert renamed.reuse == report.reuse
    gains = [(change.change, change.seconds, change.tokens) for change in report.what_ifs]
    assert sorted(gains) == sorted((change.change, change.seconds, change.tokens) for change in renamed.what_ifs)
    figures = {names[branch.path]: _figures(branch) for fork in report.forks for branch in fork.branches}
    assert figures == {branch.path: _figures(branch) for fork in renamed.forks for branch in fork.branches}


def _figures(branch: BranchFigures) -> tuple[object, ...]:
    return branch.outline, branch.tokens, branch.seconds, branch.slack_seconds


def _new_names(trace: Trace, chance: random.Random) -> dict[str, str]:
    """For each branch path, the one that it has when the branches of each block are numbered in another order."""
    names = {"": ""}
    for block in sorted(trace.blocks, key=lambda block: block.path.count("/") if block.path else -1):
        old = [branch.path for branch in trace.branches if block_of(branch.path) == (block.path, block.number)]
        new = list(range(1, len(old) + 1))
        chance.shuffle(new)
        for path, place in zip(old, new, strict=True):
            names[path] = f"{names[block.path]}/{block.number}.{place}".lstrip("/")
    return names


def _rename(trace: Trace, names: dict[str, str]) -> Trace:
    def renamed(span: str) -> str:
        path, _, count = span.partition("#")
        return f"{names[path]}#{count}"

    def edges(span: Span) -> tuple[Edge, ...]:
        return tuple(Edge(renamed(edge.span), edge.kind) for edge in span.after)

    return replace(
        trace,
        spans=tuple(
            replace(span, id=renamed(span.id), path=names[span.path], after=edges(span)) for span in trace.spans
        ),
        blocks=tuple(
            replace(block, path=names[block.path], trigger=names[block.trigger] if block.trigger else None)
            for block in trace.blocks
        ),
        branches=tuple(replace(branch, path=names[branch.path]) for branch in trace.branches),
    )


@given(traces(), st.data())
def test_a_longer_span_never_makes_a_run_shorter(trace: Trace, data: st.DataObject) -> None:
    grown = data.draw(st.sampled_from(trace.spans))
    more = data.draw(st.integers(0, 100)) * TICK
    longer = replace(trace, wall=trace.wall + more, spans=tuple(_later(span, grown, more) for span in trace.spans))
    before, after = account(trace), account(longer)
    assert before.seconds.critical <= after.seconds.critical <= before.seconds.critical + more
    assert 0 <= after.seconds.residual <= before.seconds.residual + more


def _later(span: Span, grown: Span, more: float) -> Span:
    """This span in a run in which `grown` took more seconds and whatever started behind its end moved as much."""
    if span is grown:
        return replace(span, end=span.end + more)
    return replace(span, start=span.start + more, end=span.end + more) if span.start >= grown.end else span


@given(traces(), st.data())
def test_more_tokens_in_a_request_never_make_the_critical_path_shorter(trace: Trace, data: st.DataObject) -> None:
    requests = [place for place, span in enumerate(trace.spans) if span.tokens]
    place, more = data.draw(st.sampled_from(requests)), data.draw(st.integers(0, 100))
    span = trace.spans[place]
    assert span.tokens
    spans = list(trace.spans)
    spans[place] = replace(span, tokens=replace(span.tokens, generated=span.tokens.generated + more))
    before, after = account(trace).tokens, account(replace(trace, spans=tuple(spans))).tokens
    assert before.critical <= after.critical <= before.critical + more
    assert after.generated == before.generated + more


@given(traces())
def test_a_join_goes_on_from_its_trigger_and_losers_are_never_critical(trace: Trace) -> None:
    report = account(trace)
    branches = {branch.path: branch for fork in report.forks for branch in fork.branches}
    for fork in report.forks:
        if fork.trigger is None or not any(branch.joined for branch in fork.branches):
            continue
        assert fork.straggler == fork.trigger
        assert branches[fork.trigger].slack_seconds == 0
        assert [branch.path for branch in fork.branches if branch.critical] in ([], [fork.trigger])
        assert [branch.path for branch in fork.branches if branch.critical_tokens] in ([], [fork.trigger])
        for branch in fork.branches:
            assert (branch.slack_seconds is None) == (not branch.joined)


@given(traces())
def test_slack_is_what_a_branch_has_left_until_its_join(trace: Trace) -> None:
    starts = {span.id: span.start for span in trace.spans}
    joins = {
        edge.span: starts[span.id] for span in trace.spans for edge in span.after if edge.kind in ("join", "trigger")
    }
    last = {span.path: span for span in trace.spans}
    for fork in account(trace).forks:
        slacks = {branch.path: branch.slack_seconds for branch in fork.branches if branch.slack_seconds is not None}
        assert all(slack == joins[last[path].id] - last[path].end >= 0 for path, slack in slacks.items())
        assert fork.straggler is None or slacks[fork.straggler] == 0


@settings(max_examples=60)
@given(traces())
def test_a_what_if_is_the_critical_path_with_that_one_thing_changed(trace: Trace) -> None:
    report = account(trace)
    gains = [change.seconds for change in report.what_ifs]
    assert gains == sorted(gains, reverse=True)
    for change in report.what_ifs:
        assert change.seconds > 0 or change.tokens > 0
        assert change.seconds <= report.seconds.critical
        assert change.tokens <= report.tokens.critical
    for fork in report.forks:
        found = [change for change in report.what_ifs if change.branch == fork.straggler and change.change == "lead"]
        expected = tuple(_gain_without_lead(trace, fork, weigh) for weigh in (second_weight, token_weight))
        assert [(change.seconds, change.tokens) for change in found] == ([expected] if any(expected) else [])


def _gain_without_lead(trace: Trace, fork: ForkFigures, weigh: Callable[[Span], Weight]) -> float:
    """By how much the longest chain shrinks when the straggler's shrinks to the next one: whole passes, no shortcut."""
    join = next((span for span in trace.spans if _joins(span, fork)), None)
    if join is None or fork.straggler is None or _ended_inside(trace, fork.path):
        return 0
    whole = graph(trace)
    chain = longest(whole, [weigh(span) for span in trace.spans])
    places = {span.id: place for place, span in enumerate(trace.spans)}
    values = {
        trace.spans[places[edge.span]].path: chain.to[places[edge.span]][0]
        for edge in join.after
        if edge.kind != "then" or trace.spans[places[edge.span]].kind is Kind.wait
    }
    mine = values.pop(fork.straggler)
    lead = max(0, mine - max(values.values())) if values else 0
    weights = [weigh(span) for span in trace.spans]
    last = max(place for place, span in enumerate(trace.spans) if span.path == fork.straggler)
    weights[last] = (weights[last][0] - lead, *weights[last][1:])
    return chain.weight[0] - longest(whole, weights).weight[0]


def _ended_inside(trace: Trace, path: str) -> bool:
    """Whether this branch, or one around it, never joined: had it been faster, the run would have gone further."""
    edges = (edge for span in trace.spans for edge in span.after)
    into = {edge.span.partition("#")[0] for edge in edges if edge.kind in ("join", "trigger")}
    around = path.split("/")
    return path != "" and any("/".join(around[: depth + 1]) not in into for depth in range(len(around)))


def _joins(span: Span, fork: ForkFigures) -> bool:
    paths = {edge.span.partition("#")[0] for edge in span.after if edge.kind in ("join", "trigger")}
    return any(branch.path in paths for branch in fork.branches)


@given(traces())
def test_every_figure_that_is_missing_has_a_reason(trace: Trace) -> None:
    report = account(trace)
    data = to_json(report)
    for name in report.missing:
        value: object = data
        for key in name.split("."):
            assert isinstance(value, dict)
            value = cast("dict[str, object]", value)[key]
    assert {name for name in _nulls(data) if not name.startswith(("forks", "what_ifs"))} <= report.missing.keys()


def _nulls(value: object, name: str = "") -> Iterator[str]:
    if value is None:
        yield name
    elif isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            yield from _nulls(inner, f"{name}.{key}" if name else key)
