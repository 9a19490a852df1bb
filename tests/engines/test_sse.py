"""Server-sent events: the same however the bytes are cut, and a fault for whatever is none."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.engines import sse
from apr_agents.engines.sse import EventReader
from apr_agents.errors import StreamFault

LINES = st.text(alphabet="ab:é🙂 {}", max_size=12)
"""Of one data line; no line ends in it."""


def read(data: bytes, cuts: list[int]) -> list[bytes]:
    reader = EventReader()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [event for start, end in pairwise(places) for event in reader.feed(data[start:end])]


@given(
    events=st.lists(st.lists(LINES, min_size=1, max_size=3), max_size=6),
    end=st.sampled_from(["\n", "\r\n"]),
    cuts=st.lists(st.integers(0, 500), max_size=8),
    rest=st.sampled_from(["", "data: cut off", "data: no blank line\n", ": a comment\n\n"]),
)
def test_events_come_out_as_they_went_in_however_they_are_cut(
    events: list[list[str]], end: str, cuts: list[int], rest: str
) -> None:
    written = "".join("".join(f"data: {line}{end}" for line in event) + end for event in events) + rest
    assert read(written.encode(), cuts) == ["\n".join(event).encode() for event in events]


@pytest.mark.parametrize(
    ("written", "events"),
    [
        (b": keep alive\n\ndata: a\n\n", [b"a"]),
        (b"data:no space\n\n", [b"no space"]),
        (b"data:  two spaces\n\n", [b" two spaces"]),
        (b"event: message\nid: 1\nretry: 5\ndata: a\n\n", [b"a"]),
        (b"data:\n\n", [b""]),
        (b"\n\n\n", []),
        (b"data\n\ndata: a\n\n", None),
        (b"<html>\n", None),
        (b'{"text": "json"}\n', None),
    ],
)
def test_lines(written: bytes, events: list[bytes] | None) -> None:
    if events is None:
        with pytest.raises(StreamFault, match="a line of the stream is no event") as raised:
            read(written, [])
        assert raised.value.fault == "malformed"
    else:
        assert read(written, []) == events


def test_a_line_without_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT", 1000)
    reader = EventReader()
    reader.feed(b"data: " + b"x" * 900)
    with pytest.raises(StreamFault, match="more than 1000 bytes"):
        reader.feed(b"x" * 100)
