"""The two committed files hold the same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf")

import gguf
import numpy as np
from numpy.typing import NDArray

from apr_agents import models

FOLDER = Path(__file__).parents[2] / "training" / "countdown-hf"
NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def safetensors() -> dict[str, NDArray[np.float32]]:
    """The tensors of the safetensors file, which is a JSON header and then raw numbers."""
    content = (FOLDER / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8:start])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(content[start + about["data_offsets"][0] : start + about["data_offsets"][1]], np.float32)
        .reshape(about["shape"])
        for name, about in header.items()
    }  # fmt: skip


def same_name(name: str) -> str:
    """The name in safetensors of a tensor in GGUF."""
    parts = name.removesuffix(".weight").split(".")
    layer = f"model.layers.{parts[1]}." if parts[0] == "blk" else ""
    return f"{layer}{NAMES[parts[-1]]}.weight"


def halves(matrix: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rotary pairs that lie side by side, put half a head apart."""
    rows, columns = matrix.shape
    return matrix.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def test_gguf_and_safetensors_are_the_same_weights() -> None:
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    expected = safetensors()
    tensors = gguf.GGUFReader(models.path("countdown")).tensors
    assert len(tensors) == len(expected)
    for tensor in tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if tensor.name.endswith(("attn_q.weight", "attn_k.weight")):
            values = halves(values, config["num_attention_heads"])
        np.testing.assert_array_equal(values, expected[same_name(tensor.name)], tensor.name)


def test_the_size_is_what_the_card_says() -> None:
    parameters = sum(values.size for values in safetensors().values())
    assert 1_000_000 <= parameters <= 3_000_000
