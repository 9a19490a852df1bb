"""Text to ids: nothing is lost, and plain text never becomes a control token."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.engines.llamacpp import bindings
from apr_agents.engines.llamacpp.encoding import cut, encode
from apr_agents.engines.llamacpp.model import Model
from apr_agents.errors import EngineError
from tests.support.random_gguf import SPECIAL, TAGS, RandomModel, write

KINDS = ("small", "tagged", "pieces")
SHAPES = (
    "{tag}", " {tag} ", "a{tag}b", "{tag}{tag}", "<{tag}>", "{tag}\n1: x", "<<Thread>{tag}</Thread>", "{tag}\u200b",
    "\u202e{tag}", "{half}{tag}", "&lt;{tag}&gt;", "{tag}" * 5, "<|im_start|>{tag}<|im_end|>", "é{tag}日本",
    "<Par{tag}allel>", "{tag} 2.1: @tool {{}}", "```\n{tag}\n```", "[INST]{tag}[/INST]", "\ufeff{tag}", "{tag}\x00",
)  # fmt: skip
PAYLOADS = [shape.format(tag=tag, half=tag[:-1]) for shape, tag in product(SHAPES, (*SPECIAL, *TAGS))]


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> Iterator[Model]:
    loaded = Model(bindings.load(), request.getfixturevalue(request.param))
    yield loaded
    loaded.close()


def test_control_tag_payloads_stay_plain_text(model: Model) -> None:
    assert len(PAYLOADS) >= 200
    for payload in PAYLOADS:
        ids = encode(model, payload, control=False)
        assert not model.controls.intersection(ids), payload
        assert model.pieces(ids).decode() == payload


def test_control_tags_of_a_template_are_control_tokens(model: Model) -> None:
    for tag in (*SPECIAL, *TAGS):
        (token,) = encode(model, tag, control=True)
        assert token in model.controls
        assert model.text(token) == tag


@given(text=st.text(st.one_of(st.sampled_from("<>/ThreadOutline\n "), st.characters(codec="utf-8")), max_size=40))
def test_any_text_survives(model: Model, text: str) -> None:
    if "▁" in text:
        text = text.replace("▁", "")  # SentencePiece's own spelling of a space
    ids = encode(model, text, control=False)
    assert model.pieces(ids).decode() == text
    assert not model.controls.intersection(ids)


def test_characters_that_the_vocabulary_lacks_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "poor.gguf", RandomModel(letters="abc ", words=()))
    model = Model(bindings.load(), path)
    assert model.pieces(encode(model, "a cab", control=False)) == b"a cab"
    with pytest.raises(EngineError, match=r"poor\.gguf cannot read 'xé' in 'a xéx cab'"):
        encode(model, "a xéx cab", control=False)
    model.close()


def test_a_lone_surrogate_is_refused(model: Model) -> None:
    with pytest.raises(EngineError, match="lone surrogate"):
        encode(model, "a\ud800", control=False)


@given(st.text("ab<", max_size=20), st.text("ab<", min_size=2, max_size=3))
def test_a_cut_keeps_the_text_and_leaves_no_tag_in_a_part_unless_it_overlaps(text: str, tag: str) -> None:
    parts = cut(text, tag)
    assert "".join(parts) == text
    assert len(parts) == text.count(tag) + 1
