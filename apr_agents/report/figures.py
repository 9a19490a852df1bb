"""The lines of figures below the tree: tokens, seconds, prefix, losers, and the change that would have helped most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from apr_agents.accounting import Report, ThreadWeaverFigures, WhatIf
from apr_agents.report.words import JOINT, Signs, Unit, percent, plural, ratio, safe, tokens


@dataclass(frozen=True, slots=True)
class Line:
    """A heading and what is said under it."""

    heading: str
    words: str
    strong: bool = False


def lines(report: Report, unit: Unit, signs: Signs) -> list[Line]:
    """Every line, in order."""
    found = [
        Line("tokens", _tokens(report, signs)),
        Line("seconds", _seconds(report, unit)),
        Line("prefix", _prefix(report, signs)),
    ]
    if report.tokens.ahead:
        found.append(Line("ahead", _ahead(report, report.tokens.ahead, unit, signs)))
    if report.retries:
        found.append(Line("retries", f"{plural(report.retries, 'request')} sent again"))
    if report.tokens.wasted:
        without = ratio(report.acceleration_ratio_without_waste)
        lost = f"{plural(report.tokens.wasted, 'token')} by losers {signs.dot} {signs.eta} {without} without them"
        found.append(Line("wasted", lost))
    if report.threadweaver is not None:
        found.append(Line("ThreadWeaver", _threadweaver(report.threadweaver, signs)))
    found += [Line("note", safe(note, signs)) for note in report.notes]
    found += _untold(report)
    found.append(Line("helps most", _help(report.what_ifs, unit, signs), strong=True))
    return found


def _tokens(report: Report, signs: Signs) -> str:
    parts = [
        f"{tokens(report.tokens.generated)} generated, {tokens(report.tokens.critical)} on the critical path",
        f"{signs.eta} {ratio(report.acceleration_ratio)}",
    ]
    if report.self_parallelism is not None:
        parts.append(f"self-parallelism {ratio(report.self_parallelism)}{signs.times}")
    return f" {signs.dot} ".join(parts)


def _seconds(report: Report, unit: Unit) -> str:
    seconds = report.seconds
    kinds = {
        "decode": seconds.by_kind.decode,
        "prefill": seconds.by_kind.prefill,
        "synthesis prefill": seconds.by_kind.synthesis,
        "tools": seconds.by_kind.tool,
        "queue": seconds.by_kind.queue,
        "join wait": seconds.by_kind.join_wait,
        "client": seconds.by_kind.client,
        "human": seconds.by_kind.human,
        "retries": seconds.by_kind.retry,
        "residual": seconds.residual,
    }
    shown = [
        f"{name.replace(' ', JOINT)}{JOINT}{unit.number(value)}"
        for name, value in kinds.items()
        if value and unit.number(value).strip("0.")
    ]
    return f"{unit.write(seconds.wall)} = " + " + ".join(shown) if shown else unit.write(seconds.wall)


def _threadweaver(figures: ThreadWeaverFigures, signs: Signs) -> str:
    longest, total = tokens(figures.num_tokens_in_the_longest_thread), tokens(figures.total_num_tokens)
    return f"{longest} of {total} tokens in the longest thread {signs.dot} {ratio(figures.acceleration_ratio)}"


def _prefix(report: Report, signs: Signs) -> str:
    parts: list[str] = []
    figures = report.tokens
    if report.reuse is not None and figures.reused is not None and figures.reused_of is not None:
        reused = f"{tokens(figures.reused)} of {tokens(figures.reused_of)} reusable tokens from the cache"
        parts.append(f"{percent(report.reuse)} reused: {reused}")
    if figures.prefilled is not None:
        parts.append(f"{tokens(figures.prefilled)} evaluated, {tokens(figures.join_prefill or 0)} of them behind joins")
    return f" {signs.dot} ".join(parts) or "not told by the engine"


def _ahead(report: Report, evaluated: int, unit: Unit, signs: Signs) -> str:
    left = report.tokens.join_prefill
    parts = [
        f"{plural(evaluated, 'token')} evaluated ahead of joins"
        + (f", {tokens(left)} left behind them" if left else "")
    ]
    if report.ahead_saved_seconds is not None:
        parts.append(f"{unit.write(report.ahead_saved_seconds)} saved")
    return f" {signs.dot} ".join(parts)


def _untold(report: Report) -> Iterator[Line]:
    """Figures that are missing or partial, those with one reason together."""
    reasons: dict[str, list[str]] = {}
    for name, reason in report.missing.items():
        if name == "tokens.reused_of":
            continue  # goes without saying beside `reused`
        reasons.setdefault(reason, []).append(name.rpartition(".")[2].replace("_", " "))
    for place, (reason, names) in enumerate(reasons.items()):
        yield Line("" if place else "untold", f"{', '.join(names)}: {reason}")


def _help(what_ifs: tuple[WhatIf, ...], unit: Unit, signs: Signs) -> str:
    best = next((change for change in what_ifs if change.tokens or unit.shows(change.seconds)), None)
    if best is None:
        return "nothing that is measured here"
    gains = [f"{signs.minus}{unit.write(best.seconds)}"] if unit.shows(best.seconds) else []
    gains += [f"{signs.minus}{plural(best.tokens, 'token')}"] if best.tokens else []
    return f"{best.words}: {', '.join(gains)}"
