"""Text from pieces: always whole characters, and a stop is found wherever the pieces are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.engines.llamacpp.text import Detokenizer, StopMatcher


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({*(cut % (len(data) + 1) for cut in cuts), len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


CUTS = st.lists(st.integers(0, 1000), max_size=12)


@given(st.text(), CUTS)
def test_text_is_the_same_however_its_bytes_are_cut(text: str, cuts: list[int]) -> None:
    detokenizer = Detokenizer()
    fed = [detokenizer.feed(piece) for piece in pieces_of(text.encode("utf-8", "replace"), cuts)]
    assert "".join(fed) == text.encode("utf-8", "replace").decode()
    assert detokenizer.end() == ""


@given(st.binary(max_size=40), CUTS)
def test_bytes_that_are_no_text_become_what_python_makes_of_them(data: bytes, cuts: list[int]) -> None:
    detokenizer = Detokenizer()
    fed = [detokenizer.feed(piece) for piece in pieces_of(data, cuts)]
    assert "".join(fed) + detokenizer.end() == data.decode("utf-8", "replace")


def test_an_incomplete_character_is_held_back_until_it_is_whole() -> None:
    detokenizer = Detokenizer()
    assert [detokenizer.feed(bytes([byte])) for byte in "a€".encode()] == ["a", "", "", "€"]
    assert detokenizer.feed("€".encode()[:2]) == ""
    assert detokenizer.end() == "\ufffd"


STOPS = st.lists(st.text("ab<é", min_size=1, max_size=4), min_size=1, max_size=3)


@given(st.text("ab<é", max_size=30), CUTS, STOPS)
def test_a_stop_is_found_in_the_piece_in_which_it_ends_first(text: str, cuts: list[int], stops: list[str]) -> None:
    matcher = StopMatcher(stops)
    seen = b""
    for piece in pieces_of(text.encode(), cuts):
        found = matcher.feed(piece)
        before, seen = seen, seen + piece
        ends = {stop: end for stop in stops if (end := first_end(seen, stop.encode(), len(before))) is not None}
        if not ends:
            assert found is None
            continue
        assert found is not None
        earliest = min(ends.values())
        assert ends[found] == earliest
        assert len(found.encode()) == max(len(stop.encode()) for stop, end in ends.items() if end == earliest)
        return


def first_end(seen: bytes, stop: bytes, after: int) -> int | None:
    return next((end for end in range(after + 1, len(seen) + 1) if seen[:end].endswith(stop)), None)


@pytest.mark.parametrize(
    ("stops", "pieces", "matched"),
    [
        (["</Thread>"], ["x</Thr", "ead>\n"], "</Thread>"),
        (["ab", "b"], ["ab"], "ab"),
        (["bc", "ab"], ["abc"], "ab"),
        ([], ["anything"], None),
        ([""], ["anything"], None),
    ],
)
def test_stops(stops: list[str], pieces: list[str], matched: str | None) -> None:
    matcher = StopMatcher(stops)
    assert [found for piece in pieces if (found := matcher.feed(piece.encode()))] == ([matched] if matched else [])
