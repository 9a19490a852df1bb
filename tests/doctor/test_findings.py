"""Findings are a function of facts: a table with one wrong thing each, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.doctor.facts import Facts, Probe
from apr_agents.doctor.findings import SHARING_POLICIES, findings
from apr_agents.doctor.telling import as_object, lines
from tests.doctor.examples import CHAT, EMBEDDED, NATIVE, PROBE, ROUTER, SERVER, SETTINGS


def served(**settings: object) -> Facts:
    """A server with these settings in place of the right ones."""
    return replace(NATIVE, server=replace(SERVER, settings={**SETTINGS, **settings}))


def probed(facts: Facts, cached: int | None, *, timed: bool = True) -> Facts:
    return replace(facts, probe=replace(facts.probe, cached=cached, timed=timed))


NOTHING: Mapping[str, Facts] = {
    "a server": NATIVE,
    "a router": replace(NATIVE, server=ROUTER),
    "chats": CHAT,
    "the embedded engine": EMBEDDED,
    "settings that are not told": replace(NATIVE, server=replace(ROUTER, settings={})),
    "a taught dialect": replace(CHAT, shows_special=False, dialect=replace(CHAT.dialect, trained=False)),
    **{f"policy {policy}": served(schedule_policy=policy) for policy in SHARING_POLICIES},
}

WRONG: Mapping[str, tuple[Facts, str, str]] = {
    "radix cache off": (served(disable_radix_cache=True), "radix-cache", "--disable-radix-cache"),
    "thinking stripped": (served(strip_thinking_cache=True), "thinking-cache", "--strip-thinking-cache"),
    "fcfs": (served(schedule_policy="fcfs"), "schedule-policy", "--schedule-policy lpm"),
    "metrics off": (served(enable_metrics=False), "metrics", "--enable-metrics"),
    "cache report off": (served(enable_cache_report=False), "cache-report", "--enable-cache-report"),
    "cumulative": (served(incremental_streaming_output=False), "streaming", "--incremental-streaming-output"),
    "pages": (served(page_size=64), "page-size", "--page-size 1"),
    "admin key": (replace(NATIVE, server=replace(SERVER, admin_key=True)), "abort-key", "--admin-api-key"),
    "nothing reused": (probed(NATIVE, 0), "reuse", "prefix cache"),
    "nothing reused in chats": (probed(CHAT, 100, timed=False), "reuse", "prefix cache"),
    "torn apart": (probed(replace(NATIVE, server=ROUTER), 0), "reuse", "--policy manual"),
    "not counted": (probed(CHAT, None, timed=False), "counts", "--enable-prompt-tokens-details"),
    "not timed": (probed(replace(NATIVE, server=ROUTER), 250, timed=False), "timings", "--enable-metrics"),
    "tags left out": (replace(CHAT, shows_special=False), "special-tokens", "wire=sglang"),
    "no template": (replace(NATIVE, template="it has none"), "template", "chat_template=FILE"),
}

ONCE: Mapping[str, tuple[Facts, str]] = {
    "an empty cache because it is off": (probed(served(disable_radix_cache=True), 0), "radix-cache"),
    "no counts because they are off": (
        replace(probed(CHAT, None, timed=False), server=served(enable_cache_report=False).server),
        "cache-report",
    ),
    "no timings because they are off": (probed(served(enable_metrics=False), 250, timed=False), "metrics"),
}


@pytest.mark.parametrize("facts", NOTHING.values(), ids=NOTHING.keys())
def test_nothing_is_found_where_nothing_is_wrong(facts: Facts) -> None:
    assert findings(facts) == ()


@pytest.mark.parametrize(("facts", "name", "mend"), WRONG.values(), ids=WRONG.keys())
def test_each_wrong_thing_is_named_with_what_mends_it(facts: Facts, name: str, mend: str) -> None:
    (found,) = findings(facts)
    assert found.name == name
    assert mend in found.mend
    assert "\n" not in found.costs + found.mend


@pytest.mark.parametrize(("facts", "name"), ONCE.values(), ids=ONCE.keys())
def test_what_follows_from_a_setting_is_not_said_again(facts: Facts, name: str) -> None:
    assert [finding.name for finding in findings(facts)] == [name]


def test_a_page_says_what_it_costs() -> None:
    (found,) = findings(served(page_size=64))
    assert "63 tokens" in found.costs


@given(
    wrong=st.sets(st.sampled_from(sorted(SETTINGS))),
    cached=st.none() | st.integers(0, 250),
    timed=st.booleans(),
)
def test_everything_wrong_is_found_and_told_at_once(wrong: set[str], cached: int | None, timed: bool) -> None:
    """By the settings' names; telling it needs nothing but facts, and the object is plain JSON."""
    misset: dict[str, object] = {
        "schedule_policy": "fcfs",
        "page_size": 16,
        **{name: not value for name, value in SETTINGS.items() if isinstance(value, bool)},
    }
    facts = replace(
        served(**{name: misset[name] for name in wrong}), probe=Probe(PROBE.shared, PROBE.expected, cached, timed)
    )
    found = {finding.name for finding in findings(facts)}
    assert len(found - {"reuse", "counts", "timings"}) == len(wrong)
    told = json.loads(json.dumps(as_object(facts, findings(facts))))
    assert told["ok"] == (not found)
    assert all(word and said for word, said in lines(facts))


@pytest.mark.parametrize("facts", NOTHING.values(), ids=NOTHING.keys())
def test_each_kind_of_engine_is_told_in_lines(facts: Facts) -> None:
    told = dict(lines(facts))
    assert told["engine"] == facts.info.name
    assert "threadweaver" in told["dialect"]
    assert "reuse" in told
