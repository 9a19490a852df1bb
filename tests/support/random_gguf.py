"""GGUF files of random weights, made on the spot, for whatever needs a model but not a good one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import gguf
import numpy as np
from numpy.typing import NDArray

SCALE = float(os.environ.get("SC", "1.5"))
SPECIAL = ("<pad>", "<bos>", "<eos>")
TAGS = tuple(f"<{slash}{name}>" for name in ("Parallel", "Outlines", "Outline", "Thread") for slash in ("", "/"))
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}"
    "{% endfor %}<Thread>{{ mode }}"
)


@dataclass(frozen=True, slots=True)
class RandomModel:
    """What to make. The sizes are those of a file of some 100 kB that decodes thousands of tokens a second."""

    hidden: int = 64
    layers: int = 2
    heads: int = 2
    feed_forward: int = 128
    context: int = 1024
    words: tuple[str, ...] = ("the", "then", "and", "Thread", ">\n")
    """Tokens of several characters, beside one token for each byte."""
    letters: str | None = None
    """What the vocabulary has instead of all bytes."""
    tags: Literal["control", "user_defined"] = "control"
    """The kind of token that the tags are."""
    specials: tuple[str, ...] = ()
    """More control tokens, behind the tags."""
    tokenizer: Literal["bpe", "spm"] = "bpe"
    architecture: Literal["llama", "mamba"] = "llama"
    quiet: bool = False
    """Whether no special token or tag is ever the likeliest, so that a greedy answer goes on to its limit."""
    quantized: bool = False
    """Q8_0; otherwise 32-bit floats."""
    template: str | None = TEMPLATE
    add_bos: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    seed: int = 0


def write(path: Path, model: RandomModel = RandomModel()) -> Path:
    """Write the file, and give its path back."""
    writer = gguf.GGUFWriter(str(path), model.architecture)
    writer.add_name("random")
    for key, value in model.metadata.items():
        writer.add_string(key, value)
    size = _vocabulary(writer, model)
    tensors = _Tensors(writer, model)
    if model.architecture == "llama":
        _llama(writer, tensors, model, size)
    else:
        _mamba(writer, tensors, model, size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


class _Tensors:
    """Adds random tensors to a file."""

    def __init__(self, writer: gguf.GGUFWriter, model: RandomModel) -> None:
        self._writer, self._quantized = writer, model.quantized
        self._random = np.random.default_rng(model.seed)

    def matrix(self, name: str, rows: int, columns: int, silent: int = 0) -> None:
        """`silent`: first rows that are zero."""
        data = self._random.standard_normal((rows, columns), dtype=np.float32) * np.float32(columns**-0.5)
        data[:silent] = 0
        if self._quantized:
            kind = gguf.GGMLQuantizationType.Q8_0
            self._writer.add_tensor(f"{name}.weight", gguf.quants.quantize(data, kind), raw_dtype=kind)
        else:
            self._writer.add_tensor(f"{name}.weight", data)

    def plain(self, name: str, data: NDArray[np.float32]) -> None:
        self._writer.add_tensor(name, np.ascontiguousarray(data, dtype=np.float32))

    def ones(self, name: str, size: int) -> None:
        self.plain(f"{name}.weight", np.ones(size, dtype=np.float32))


def _llama(writer: gguf.GGUFWriter, tensors: _Tensors, model: RandomModel, size: int) -> None:
    hidden, forward = model.hidden, model.feed_forward
    _sizes(writer, model, size)
    writer.add_feed_forward_length(forward)
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.heads)
    writer.add_rope_dimension_count(hidden // model.heads)
    _ends(tensors, model, size)
    for block in (f"blk.{layer}" for layer in range(model.layers)):
        tensors.ones(f"{block}.attn_norm", hidden)
        tensors.ones(f"{block}.ffn_norm", hidden)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensors.matrix(f"{block}.{name}", hidden, hidden)
        tensors.matrix(f"{block}.ffn_gate", forward, hidden)
        tensors.matrix(f"{block}.ffn_up", forward, hidden)
        tensors.matrix(f"{block}.ffn_down", hidden, forward)


def _mamba(writer: gguf.GGUFWriter, tensors: _Tensors, model: RandomModel, size: int) -> None:
    hidden, inner, state, rank, kernel = model.hidden, 2 * model.hidden, 16, 4, 4
    _sizes(writer, model, size)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    _ends(tensors, model, size)
    for block in (f"blk.{layer}" for layer in range(model.layers)):
        tensors.ones(f"{block}.attn_norm", hidden)
        tensors.matrix(f"{block}.ssm_in", 2 * inner, hidden)
        tensors.matrix(f"{block}.ssm_conv1d", inner, kernel)
        tensors.plain(f"{block}.ssm_conv1d.bias", np.zeros(inner, dtype=np.float32))
        tensors.matrix(f"{block}.ssm_x", rank + 2 * state, inner)
        tensors.matrix(f"{block}.ssm_dt", inner, rank)
        tensors.plain(f"{block}.ssm_dt.bias", np.zeros(inner, dtype=np.float32))
        tensors.plain(f"{block}.ssm_a", -np.tile(np.arange(1, state + 1, dtype=np.float32), (inner, 1)))
        tensors.plain(f"{block}.ssm_d", np.ones(inner, dtype=np.float32))
        tensors.matrix(f"{block}.ssm_out", hidden, inner)


def _sizes(writer: gguf.GGUFWriter, model: RandomModel, size: int) -> None:
    writer.add_context_length(model.context)
    writer.add_embedding_length(model.hidden)
    writer.add_block_count(model.layers)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(size)


def _ends(tensors: _Tensors, model: RandomModel, size: int) -> None:
    tensors.matrix("token_embd", size, model.hidden)
    tensors.matrix("output", size, model.hidden, len(SPECIAL + TAGS + model.specials) if model.quiet else 0)
    tensors.ones("output_norm", model.hidden)


def _vocabulary(writer: gguf.GGUFWriter, model: RandomModel) -> int:
    """Write the tokenizer; how many tokens it has."""
    kinds = gguf.TokenType
    tag_kind = kinds.CONTROL if model.tags == "control" else kinds.USER_DEFINED
    entries = [*((text, kinds.CONTROL) for text in SPECIAL), *((text, tag_kind) for text in TAGS)]
    entries += [(text, kinds.CONTROL) for text in model.specials]
    first = len(entries)
    if model.tokenizer == "bpe":
        entries += _byte_level(writer, model)
    else:
        entries += _sentence_piece(writer, model)
        writer.add_token_scores([0.0] * first + [-float(rank) for rank in range(len(entries) - first)])
    writer.add_token_list([text for text, _ in entries])
    writer.add_token_types([kind for _, kind in entries])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(model.add_bos)
    if model.template is not None:
        writer.add_chat_template(model.template)
    return len(entries)


def _byte_level(writer: gguf.GGUFWriter, model: RandomModel) -> list[tuple[str, gguf.TokenType]]:
    """GPT-2's kind of vocabulary: all bytes, and each word merged from left to right."""
    alphabet = _byte_alphabet()
    letters = list(alphabet.values()) if model.letters is None else [_spelled(letter) for letter in model.letters]
    merges: dict[str, None] = {}
    merged: dict[str, None] = {}
    for word in map(_spelled, model.words):
        for end in range(1, len(word)):
            merges.setdefault(f"{word[:end]} {word[end]}")
            merged.setdefault(word[: end + 1])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_merges(list(merges) or ["Ġ Ġ"])
    return [(text, gguf.TokenType.NORMAL) for text in dict.fromkeys((*letters, *merged))]


def _sentence_piece(writer: gguf.GGUFWriter, model: RandomModel) -> list[tuple[str, gguf.TokenType]]:
    """Llama 2's kind of vocabulary: bytes as a last resort, and pieces in which a space is U+2581."""
    writer.add_tokenizer_model("llama")
    pieces = [*"▁abcdefghijklmnopqrstuvwxyz<>/", *model.words, "▁the"]
    prefixes = [word[:end] for word in model.words for end in range(2, len(word))]
    known = [(f"<0x{byte:02X}>", gguf.TokenType.BYTE) for byte in range(256)]
    return known + [(text, gguf.TokenType.NORMAL) for text in dict.fromkeys((*pieces, *prefixes))]


def _spelled(text: str) -> str:
    alphabet = _byte_alphabet()
    return "".join(alphabet[byte] for byte in text.encode())


def _byte_alphabet() -> dict[int, str]:
    """The printable character that stands for each byte in a byte-level vocabulary."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + rank) for rank, byte in enumerate(others)}
