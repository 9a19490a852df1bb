"""A tokenizer.json of each common make: pieces are exact, and plain text never becomes a control token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from apr_agents.engines.tokenizer import Tokenizer, chat_format, find_tokenizer
from apr_agents.errors import EngineError, EngineUnavailable

CONTROLS = ["<s>", "</s>", "<Thread>", "</Thread>", "<|im_end|>"]
TEXTS = [
    "the quick brown fox",
    "naïve 漢字 🙂",
    "<Thread>1: a</Thread>",
    "0123456789\n\t x  y",
    "".join(map(chr, range(32, 127))),
]
SHIPPED = Path(__file__).parent.parent.parent / "training" / "countdown-hf"


def byte_level() -> Backend:
    """As GPT-2, Llama 3 and Qwen have it, with a space before a text."""
    made = Backend(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=400, special_tokens=CONTROLS, initial_alphabet=alphabet)
    )
    return made


def byte_fallback() -> Backend:
    """As Llama 2 and Gemma have it: spaces as ▁, one before a text, unknown characters as bytes."""
    pieces = [
        "<unk>",
        *CONTROLS,
        *(f"<0x{n:02X}>" for n in range(256)),
        *sorted({c for t in TEXTS for c in t} - {" "}),
        "▁",
    ]
    made = Backend(models.BPE({piece: n for n, piece in enumerate(pieces)}, [], unk_token="<unk>", byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens(CONTROLS)
    return made


def unigram() -> Backend:
    """As T5 and its kin have it; its control tokens are words of the model itself."""
    made = Backend(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.decoder = decoders.Metaspace(prepend_scheme="never")
    alphabet = sorted({c for t in TEXTS for c in t})
    made.train_from_iterator(
        TEXTS, trainers.UnigramTrainer(vocab_size=300, special_tokens=CONTROLS, initial_alphabet=alphabet)
    )
    made.add_tokens([AddedToken("<Path>", normalized=False)])
    return made


MAKES = {"byte level": byte_level, "byte fallback": byte_fallback, "unigram": unigram}


@pytest.fixture(scope="module", params=[*MAKES, "shipped"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    if request.param == "shipped":
        return Tokenizer(SHIPPED / "tokenizer.json")
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    MAKES[request.param]().save(str(file))
    return Tokenizer(file)


WORDS = st.lists(st.sampled_from([*CONTROLS, "fox", " the", "0", "\n", "<", ">", "<Thr", "ead>", "a", "▁"]), max_size=8)
PIECEWISE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@PIECEWISE
@given(words=WORDS)
def test_plain_text_has_no_control_token_and_loses_nothing(tokenizer: Tokenizer, words: list[str]) -> None:
    text = "".join(words).replace("▁", "")
    ids = tokenizer.encode(text, control=False)
    assert not set(ids) & set(tokenizer.controls.values())
    assert tokenizer.decode(ids) == text


@PIECEWISE
@given(words=st.lists(st.sampled_from(["fox", " the", "0", "\n"]), max_size=4))
def test_a_control_token_in_control_text_is_one_id_whatever_is_around_it(
    tokenizer: Tokenizer, words: list[str]
) -> None:
    tag = "<Thread>"
    text = "".join(words)
    around = tokenizer.encode(text, control=True)
    assert tokenizer.encode(text + tag + text, control=True) == (*around, tokenizer.controls[tag], *around)


def test_a_piece_is_no_beginning(tokenizer: Tokenizer) -> None:
    """Nothing is put before a piece, though a whole text may begin with a space of the tokenizer's own."""
    ids = tokenizer.encode("fox", control=True)
    assert tokenizer.decode(ids) == "fox"


def test_white_space_that_is_an_added_token_is_text(tmp_path: Path) -> None:
    made = byte_level()
    made.add_tokens([AddedToken("\n\n", normalized=False)])
    made.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer(tmp_path / "tokenizer.json")
    assert "\n\n" not in tokenizer.controls
    assert tokenizer.encode("a\n\nb", control=False) == tokenizer.encode("a\n\nb", control=True)


def test_a_lone_surrogate_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(EngineError, match="lone surrogate"):
        tokenizer.encode("a\ud83d", control=False)


@pytest.mark.parametrize("content", ["no json", "[]", '{"model": 3}', '{"model": {"type": "none"}}', "\xff"])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(EngineUnavailable, match=r"tokenizer\.json"):
        Tokenizer(file)


def test_a_path_is_a_file_or_a_folder(tmp_path: Path) -> None:
    assert find_tokenizer(SHIPPED) == find_tokenizer(SHIPPED / "tokenizer.json") == SHIPPED / "tokenizer.json"
    with pytest.raises(EngineUnavailable, match=r"there is no tokenizer\.json"):
        find_tokenizer(tmp_path)


def test_chat_templates_are_found_in_every_place(tmp_path: Path) -> None:
    assert chat_format(tmp_path) is None
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": None}))
    assert chat_format(tmp_path) is None
    named = [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]
    config.write_text(json.dumps({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "chat_template": named}))
    found = chat_format(tmp_path)
    assert found is not None
    assert (found.template, found.variables) == ("d", {"bos_token": "<s>", "eos_token": "</s>"})
    (tmp_path / "chat_template.jinja").write_text("j")
    found = chat_format(tmp_path)
    assert found is not None
    assert found.template == "j"
