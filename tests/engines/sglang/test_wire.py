"""Requests and answers of /generate: either form of streaming gives the same, and nothing incomplete passes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Chunk, Finish, Request, Sampling, Timings, Usage
from apr_agents.engines.sglang.wire import DONE, Answer, Stops, body_of, stops_of
from apr_agents.errors import StreamFault

END, TAG = 2, 9
WORDS = {END: "<eos>", TAG: "</Thread>", **{n: chr(97 + n % 26) for n in range(10, 40)}}
STOPS = Stops({TAG: "</Thread>"}, ("\n",))


def answer() -> Answer:
    return Answer(STOPS, lambda ids: "".join(WORDS[token] for token in ids))


def event(ids: list[int], text: str, total: int, finish: Mapping[str, object] | None = None, **meta: object) -> bytes:
    facts = {"finish_reason": finish, "prompt_tokens": 7, "completion_tokens": total, "cached_tokens": 5, **meta}
    return json.dumps({"text": text, "output_ids": ids, "meta_info": facts}).encode()


def stop(matched: object = None) -> dict[str, object]:
    return {"type": "stop", "matched": matched}


def events(pieces: list[list[int]], finish: Mapping[str, object], *, cumulative: bool) -> list[bytes]:
    """The events of an answer of these pieces, in either form."""
    said: list[bytes] = []
    so_far: list[int] = []
    for number, piece in enumerate(pieces, 1):
        so_far = [*so_far, *piece]
        shown = so_far if cumulative else piece
        text = "".join(WORDS[token] for token in shown)
        said.append(event(shown, text, len(so_far), finish if number == len(pieces) else None))
    return [*said, DONE]


def read(said: list[bytes]) -> tuple[str, list[int], Finish | None]:
    reading = answer()
    chunks = [chunk for data in said if (chunk := reading.event(data))]
    reading.close()
    assert [bool(chunk.finish) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    ids = [token for chunk in chunks for token in chunk.ids or ()]
    return "".join(chunk.text for chunk in chunks), ids, chunks[-1].finish


PIECES = st.lists(st.lists(st.integers(10, 39), max_size=4), min_size=1, max_size=8)


@given(pieces=PIECES, ending=st.sampled_from([[], [END], [TAG]]))
def test_both_forms_of_streaming_and_a_plain_answer_say_the_same(pieces: list[list[int]], ending: list[int]) -> None:
    pieces = [*pieces[:-1], [*pieces[-1], *ending]]
    ids = [token for piece in pieces for token in piece]
    finish = stop(ending[0]) if ending else {"type": "length", "length": len(ids)}
    text = "".join(WORDS[token] for token in ids)
    matched = "</Thread>" if ending == [TAG] else None
    expected = Finish("stop" if ending else "length", matched, Usage(7, 5, len(ids)), Timings())
    shown = text.removesuffix("<eos>") if ending == [END] else text
    for cumulative in (True, False):
        assert read(events(pieces, finish, cumulative=cumulative)) == (shown, ids, expected)
    plain = answer().whole(event(ids, text, len(ids), finish))
    assert plain == Chunk(shown, tuple(ids), expected)


@given(pieces=PIECES, keep=st.integers(0, 8), cumulative=st.booleans())
def test_no_cut_passes(pieces: list[list[int]], keep: int, *, cumulative: bool) -> None:
    said = events(pieces, stop(END), cumulative=cumulative)
    reading = answer()
    for data in said[: min(keep, len(said) - 1)]:
        assert (reading.event(data) or Chunk("", ())).finish is None
    with pytest.raises(StreamFault, match="cut") as raised:
        reading.close()
    assert raised.value.fault == "cut"


FINISHED = event([10], "k", 1, stop(END))
FAULTS: dict[str, tuple[list[bytes], str, str]] = {
    "the end marker without a finish": ([event([10], "k", 1), DONE], "cut", "ended without a finish"),
    "the end marker alone": ([DONE], "cut", "ended without a finish"),
    "text behind the finish": ([FINISHED, event([10, 11], "kl", 2)], "late", "behind the finish"),
    "a second finish": ([FINISHED, FINISHED], "late", "behind the finish"),
    "an event behind the end marker": ([FINISHED, DONE, FINISHED], "late", "behind the end of the stream"),
    "a second end marker": ([FINISHED, DONE, DONE], "late", "behind the end of the stream"),
    "an abort": (
        [event([10], "k", 1), event([10], "k", 1, {"type": "abort", "message": "Abort by\nadmin"})],
        "aborted",
        "the server gave up: Abort by admin",
    ),
    "an error event": ([b'{"error": {"message": "out of memory"}}'], "aborted", "out of memory"),
    "an unknown finish": ([event([10], "k", 1, {"type": "tired"})], "malformed", "'tired' is not one of /generate"),
    "no JSON": ([b'{"text": "'], "malformed", "an event is not one of /generate"),
    "another object": ([b'{"choices": []}'], "malformed", "an event is not one of /generate"),
    "a list": ([b"[1]"], "malformed", "an event is not one of /generate"),
    "bytes that are no text": ([b'{"text": "\xff"}'], "malformed", "an event is not one of /generate"),
    "a lone surrogate": ([event([10], "\ud83d", 1)], "malformed", "an event is not one of /generate"),
    "fewer ids than counted": ([event([10], "k", 2)], "malformed", "has 1 ids and counts 2, after 0"),
    "counts that go backwards": (
        [event([10, 11], "kl", 2), event([10], "k", 1)],
        "malformed",
        "counts 1 tokens, after 2",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_named(name: str) -> None:
    said, fault, words = FAULTS[name]
    with pytest.raises(StreamFault, match=words) as raised:
        read(said)
    assert raised.value.fault == fault


@pytest.mark.parametrize(("ids", "again"), [([], True), ([10], False)])
def test_a_server_too_busy_to_begin_may_be_asked_again(ids: list[int], *, again: bool) -> None:
    abort = {"type": "abort", "message": "queue full", "status_code": 503}
    text = "k" * len(ids)
    with pytest.raises(StreamFault) as raised:
        read([event(ids, text, len(ids)), event(ids, text, len(ids), abort)])
    assert raised.value.again is again


@pytest.mark.parametrize("cumulative", [True, False])
def test_a_token_in_which_a_stop_ends_stays_whole(*, cumulative: bool) -> None:
    """The server cuts its text behind the stop, and gives the id of the whole token."""
    words = {10: "a ", 11: "=", 12: " 71"}
    second = event([10, 11, 12], "a = 7", 3, stop("= 7")) if cumulative else event([12], " 7", 3, stop("= 7"))
    reading = Answer(STOPS, lambda ids: "".join(words[token] for token in ids))
    assert reading.event(event([10, 11], "a =", 2)) == Chunk("a =", (10, 11))
    reading.event(second)
    last = reading.event(DONE)
    assert last is not None
    assert (last.text, last.ids, last.finish and last.finish.matched) == (" 71", (12,), "= 7")


SPELLED = {20: "a", 21: "</Th", 22: "read> ", 23: "on and on", 24: "b"}


@pytest.mark.parametrize("cuts", [[], [2], [1, 2, 3], [3], [4]])
def test_a_stop_that_is_spelled_out_ends_the_answer_at_its_token(cuts: list[int]) -> None:
    """The server stops at the tag's id; a model may write its letters, and the server goes on."""
    ids = [20, 21, 22, 23, 24]
    said: list[bytes] = []
    for start, end in pairwise([0, *cuts, len(ids)]):
        piece = ids[start:end]
        said.append(event(piece, "".join(map(SPELLED.__getitem__, piece)), end))
    reading = Answer(STOPS, lambda ids: "".join(SPELLED[token] for token in ids))
    chunks: list[Chunk] = []
    for data in said:
        chunk = reading.event(data)
        assert chunk is not None
        chunks.append(chunk)
        if chunk.finish is not None:
            break
    assert "".join(chunk.text for chunk in chunks) == "a</Thread> "
    assert [token for chunk in chunks for token in chunk.ids or ()] == [20, 21, 22]
    assert chunks[-1].finish == Finish("stop", "</Thread>", Usage(7, 5, 3), Timings())
    assert not reading.complete


def test_timings_are_the_servers_own() -> None:
    told = event(
        [10], "k", 1, stop(END), queue_time=0.5, forward_entry_time=10.0, prefill_finished_time=12.0,
        request_finished_ts=15.0,
    )  # fmt: skip
    finish = answer().whole(told).finish
    assert finish is not None
    assert finish.timings == Timings(queue=0.5, prefill=2.0, decode=3.0)


def test_a_request_says_all_that_matters() -> None:
    context = Context.of(Segment("ab", (10, 11), Origin.client))
    request = Request(
        context, max_tokens=4, stops=("</Thread>", "\n\n"), stop_ids=(3,), sampling=Sampling(0.5, 0, 0.9, 7)
    )
    stops = stops_of(request, lambda text: (TAG,) if text == "</Thread>" else (10, 10))
    assert stops == Stops({3: None, TAG: "</Thread>"}, ("\n\n",))
    more = {"custom_logit_processor": "x", "sampling_params": {"custom_params": {"script": [1]}}}
    assert body_of(request, stops, "rid", stream=True, more=more) == {
        "input_ids": [10, 11],
        "stream": True,
        "rid": "rid",
        "custom_logit_processor": "x",
        "sampling_params": {
            "max_new_tokens": 4,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": -1,
            "sampling_seed": 7,
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "no_stop_trim": True,
            "stop_token_ids": [3, TAG],
            "stop": ["\n\n"],
            "custom_params": {"script": [1]},
        },
    }


@pytest.mark.parametrize(("watched", "stream", "tokens"), [(True, True, None), (False, True, 32), (False, False, None)])
def test_a_stream_that_nobody_watches_has_fewer_events(watched: bool, stream: bool, tokens: int | None) -> None:
    request = Request(Context.of(Segment("a", (10,), Origin.client)), max_tokens=4, watched=watched)
    params = cast("dict[str, object]", body_of(request, Stops({}, ()), "rid", stream=stream)["sampling_params"])
    assert params.get("stream_interval") == tokens
