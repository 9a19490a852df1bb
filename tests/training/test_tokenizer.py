"""One vocabulary in three places: the recipe, the committed tokenizer.json, and llama.cpp give the same ids."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("tokenizers")

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from apr_agents import models
from apr_agents.engines.llamacpp import bindings
from apr_agents.engines.llamacpp.model import Model
from training import vocabulary
from training.curriculum import LESSONS
from training.tokenizer import CHAT_TEMPLATE, Encoder

FOLDER = Path(__file__).parents[2] / "training" / "countdown-hf"


def committed(*, plain: bool = False) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    tokenizer.encode_special_tokens = plain
    return tokenizer


CONTROL, PLAIN = committed(), committed(plain=True)


@pytest.fixture(scope="module")
def llama() -> Iterator[Model]:
    model = Model(bindings.load(), models.path("countdown"))
    yield model
    model.close()


def test_game_texts_have_the_same_ids_everywhere(llama: Model) -> None:
    encode = Encoder()
    rng = random.Random(5)
    seen = 0
    for lesson in LESSONS.values():
        for _ in range(100):
            unit = lesson(rng, encode)
            text = encode.decode(unit.ids)
            ids = CONTROL.encode(text, add_special_tokens=False).ids
            assert list(llama.tokenize(text, control=True)) == ids
            assert llama.pieces(ids).decode() == text
            assert unit.forks or ids == unit.ids
            seen += 1
    assert seen >= 1_000


@given(st.text(max_size=60))
def test_any_text_is_read_without_loss_and_alike(llama: Model, text: str) -> None:
    ids = PLAIN.encode(text, add_special_tokens=False).ids
    assert PLAIN.decode(ids, skip_special_tokens=False) == text
    assert list(llama.tokenize(text, control=False)) == ids


@given(st.lists(st.sampled_from([*vocabulary.CONTROL, " 126", "7", "\n", " x", "é"])).map("".join))
def test_tags_in_plain_text_are_bytes(llama: Model, text: str) -> None:
    control = set(range(len(vocabulary.CONTROL)))
    ids = PLAIN.encode(text, add_special_tokens=False).ids
    assert not control.intersection(ids)
    assert list(llama.tokenize(text, control=False)) == ids
    assert list(llama.tokenize(text, control=True)) == CONTROL.encode(text, add_special_tokens=False).ids


def test_words_of_the_game_are_single_tokens() -> None:
    words = [f" {number}" for number in range(201)] + [str(label) for label in range(1, 17)]
    words += [" hit", "hit", " none", "none", " then", " in", " answer", " Target", "Numbers"]
    words += [" ->", " +", " -", " *", " /"]
    for word in words:
        assert CONTROL.encode(word, add_special_tokens=False).ids == [vocabulary.word_id(word)]


def test_the_template_is_the_same_in_both_files(llama: Model) -> None:
    config = json.loads((FOLDER / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["chat_template"] == CHAT_TEMPLATE == llama.meta("tokenizer.chat_template")
    assert llama.meta("apr.dialect") == "threadweaver"
    assert llama.meta("general.license") == "apache-2.0"
