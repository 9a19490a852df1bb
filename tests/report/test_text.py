"""The printed report: what it looks like, and what holds of it for every run, width and encoding."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from apr_agents.accounting import WhatIf, account
from apr_agents.report.rows import SHOWN
from apr_agents.report.text import plain, render
from apr_agents.trace import Kind, Phases, Tokens, Trace
from tests.accounting import examples
from tests.accounting.examples import request, step, way
from tests.report.examples import report, with_outline
from tests.support.plans import Fork, Step, trace_of
from tests.support.traces import traces

LOOKS = Path(__file__).parent / "looks"
WIDTHS = st.integers(80, 200)


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_this_is_what_it_looks_like(width: int, ascii_only: bool) -> None:
    look = LOOKS / f"{width}{'-ascii' if ascii_only else ''}.txt"
    assert plain(report(), width, ascii_only=ascii_only) == look.read_text(encoding="utf-8")


@settings(max_examples=40)
@given(traces(), WIDTHS, st.booleans())
def test_it_fits_its_width_and_its_encoding(trace: Trace, width: int, ascii_only: bool) -> None:
    text = plain(account(trace), width, ascii_only=ascii_only)
    assert max(map(cell_len, text.splitlines())) <= width
    assert not ascii_only or text.isascii()
    assert "\x1b" not in text


@settings(max_examples=40)
@given(traces(), WIDTHS)
def test_the_critical_path_can_be_seen_without_colour(trace: Trace, width: int) -> None:
    made = account(trace)
    rows = [line for line in plain(made, width).splitlines() if "─ " in line[: width // 2] and "block" not in line]
    branches = [branch for fork in made.forks for branch in fork.branches]
    assert len(rows) == len(branches)
    assert sum(line.count("▸") for line in rows) == sum(branch.critical + branch.critical_tokens for branch in branches)


@settings(max_examples=40)
@given(st.text(max_size=60), WIDTHS, st.booleans())
@example("\x1b]0;owned\x07\x1b[31mred", 80, False)
@example("two\nlines\r\tand \u202e turned \u200b round \u2028", 100, False)
@example("分岐は三つ目の枝を最初に試してから戻る、長い長い名前", 80, False)
@example("[bold red]markup[/] [link=file:///]x", 120, False)
@example("\ud800 lone", 90, True)
def test_what_a_model_names_a_branch_cannot_break_it(outline: str, width: int, ascii_only: bool) -> None:
    text = plain(with_outline(outline), width, ascii_only=ascii_only)
    usual = plain(with_outline("x"), width, ascii_only=ascii_only)
    assert len(text.splitlines()) == len(usual.splitlines())
    assert max(map(cell_len, text.splitlines())) <= width
    assert not set(text) & {*map(chr, range(32)), "\x7f", "\u202e", "\u200b", "\u2028"} - {"\n"}


def test_what_was_evaluated_ahead_and_sent_again_is_told() -> None:
    ahead = Step(Kind.ahead, 64, Tokens(300, 80, 80, 0), Phases(0.0, 1.0, 0.0))
    fork = Fork((way(request(2, 9)), way(step(Kind.retry, 1), request(8, 9))), ahead=ahead)
    behind = Step(Kind.synthesis, 64, Tokens(400, 300, 300, 5), Phases(0.0, 0.5, 0.5))
    lines = plain(account(trace_of(way(request(1, 5), fork, behind))), 120).splitlines()
    assert "1.2 was last, by 7.00 s · 220 tokens ahead, 100 behind" in next(one for one in lines if "block 1" in one)
    assert "ahead        220 tokens evaluated ahead of joins, 100 left behind them · 1.00 s saved" in lines
    assert "retries      1 request sent again" in lines
    assert "+ retries 1.00 +" in next(line for line in lines if line.startswith("seconds"))


WORDS = {
    "failed: the function raised": ("failed", "the function raised ValueError: no such thing"),
    "refused: over": ("refused", "over 8 branches"),
    "truncated: its": ("truncated", "its share of the run's tokens is used up"),
    "cancelled": ("cancelled", "the join came first"),
}


@pytest.mark.parametrize("word", WORDS)
def test_how_a_branch_ended_is_said_beside_its_bar(word: str) -> None:
    outcome, detail = WORDS[word]
    text = plain(with_outline("x", outcome=outcome, detail=detail), 120)
    assert word in next(line for line in text.splitlines() if "1.1 x" in line)


def test_an_outcome_without_room_goes_over_the_bar() -> None:
    trace = trace_of(way(step(Kind.client, 0), Fork((way(request(9, 9)), way(request(9, 9))), unjoined=True)))
    made = with_outline("x", trace, outcome="failed", detail="the engine stopped")
    row = next(line for line in plain(made, 80).splitlines() if "1.1 x" in line)
    assert row.endswith(" failed")


def test_very_many_branches_have_few_rows_and_the_critical_one_is_among_them() -> None:
    ways = [way(request(2, 5), outline=f"line {place}") for place in range(1000)]
    ways[700] = way(request(3, 5), outline="the slow one")
    text = plain(account(trace_of(way(request(1, 1), Fork(tuple(ways))))))
    assert len(text.splitlines()) < SHOWN + 14
    assert "1.701 the slow one" in text
    assert "… 989 branches more" in text


def test_short_runs_are_told_in_milliseconds() -> None:
    text = plain(account(trace_of(way(step(Kind.client, 0)))))
    assert "16 ms" in text.replace("15.6 ms", "16 ms")


def test_a_run_without_a_fork_says_so_and_has_no_tree() -> None:
    text = plain(account(examples.sequential()))
    assert "block" not in text
    assert "η 0.00 · self-parallelism 1.00×" in text
    assert "helps most   with every reusable token from the cache: −0.80 s" in text


def test_a_gain_too_small_to_be_written_is_no_help() -> None:
    report = account(examples.sequential())
    text = plain(replace(report, what_ifs=(WhatIf("queue", None, "without waiting for places", 1e-7, 0),)))
    assert "helps most   nothing that is measured here" in text


@pytest.mark.parametrize(("encoding", "sign"), [("utf-8", "▸"), ("ascii", ">"), ("cp1252", ">")])
def test_a_console_gets_what_its_encoding_carries(encoding: str, sign: str) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=file, width=100).print(render(with_outline("枝 — one")))
    file.flush()
    text = file.buffer.getvalue().decode(encoding)  # pyright: ignore[reportAttributeAccessIssue]
    assert f"{sign}497" in text


def test_a_terminal_gets_colour_for_the_same_text() -> None:
    file = io.StringIO()
    Console(file=file, width=100, force_terminal=True, color_system="standard").print(render(report()))
    assert "\x1b[" in file.getvalue()
    bare = io.StringIO()
    Console(file=bare, width=100, force_terminal=True, color_system=None).print(render(report()))
    assert [line.rstrip() for line in bare.getvalue().splitlines()] == plain(report(), 100).splitlines()
