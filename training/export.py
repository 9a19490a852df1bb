"""Writes the trained weights as the two files that engines read: GGUF for llama.cpp, safetensors for SGLang.

Both hold the same numbers. The matrices are rounded to q8_0 first, and the safetensors file gets what the rounded
blocks stand for, so no engine runs a better or worse model than another.
"""

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from numpy.typing import NDArray
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor

from . import tokenizer, vocabulary
from .model import Config
from .tokenizer import CHAT_TEMPLATE
from .vocabulary import BOS, EOS, PAD

Weights = dict[str, Tensor]

NAME = "apr-countdown"
DIALECT = "threadweaver"
Q8_0 = GGMLQuantizationType.Q8_0
FILE_TYPE_Q8_0 = 7

GGUF_NAMES = {
    "embed_tokens": "token_embd",
    "norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def rounded(weights: Weights) -> Weights:
    """The weights as q8_0 holds them; vectors stay as they are."""
    return {name: _rounded(tensor) if tensor.ndim == 2 else tensor for name, tensor in weights.items()}


def _rounded(matrix: Tensor) -> Tensor:
    return torch.from_numpy(gguf.quants.dequantize(_quantized(matrix), Q8_0))


def _quantized(matrix: Tensor) -> NDArray[np.uint8]:
    return gguf.quants.quantize(np.ascontiguousarray(matrix.numpy(), dtype=np.float32), Q8_0)


def write_gguf(path: Path, weights: Weights, config: Config) -> None:
    """The file for llama.cpp."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, "llama")
    _write_shape(writer, config)
    _write_tokenizer(writer)
    for name, tensor in weights.items():
        turned = name.endswith(("q_proj.weight", "k_proj.weight"))
        matrix = interleaved(tensor, config.heads) if turned else tensor
        if matrix.ndim == 2:
            writer.add_tensor(gguf_name(name), _quantized(matrix), raw_dtype=Q8_0)
        else:
            writer.add_tensor(gguf_name(name), matrix.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_name(name: str) -> str:
    """The name of a parameter in GGUF: `layers.0.mlp.up_proj.weight` is `blk.0.ffn_up.weight`."""
    parts = name.removesuffix(".weight").split(".")
    if parts[0] == "layers":
        return f"blk.{parts[1]}.{GGUF_NAMES['.'.join(parts[2:])]}.weight"
    return f"{GGUF_NAMES[parts[0]]}.weight"


def interleaved(matrix: Tensor, heads: int) -> Tensor:
    """The rows of q or k in llama.cpp's order: rotary pairs lie side by side there, half a head apart elsewhere."""
    rows, columns = matrix.shape
    return matrix.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def _write_shape(writer: GGUFWriter, config: Config) -> None:
    writer.add_name(NAME)
    writer.add_license("apache-2.0")
    writer.add_description("Plays Countdown and forks its own reasoning; see the model card beside this file.")
    writer.add_string("apr.dialect", DIALECT)
    writer.add_file_type(FILE_TYPE_Q8_0)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.hidden)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.heads)
    writer.add_rope_dimension_count(config.head_width)
    writer.add_rope_freq_base(config.rotary_base)
    writer.add_layer_norm_rms_eps(config.norm_epsilon)
    writer.add_vocab_size(config.vocabulary)


def _write_tokenizer(writer: GGUFWriter) -> None:
    """The template writes the start token itself, so none is to be added."""
    tokens = vocabulary.tokens()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if token in vocabulary.CONTROL else TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in vocabulary.merges()])
    writer.add_bos_token_id(vocabulary.word_id(BOS))
    writer.add_eos_token_id(vocabulary.word_id(EOS))
    writer.add_pad_token_id(vocabulary.word_id(PAD))
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def write_safetensors(folder: Path, weights: Weights, config: Config) -> None:
    """The folder for SGLang and others that read the layout of Hugging Face."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {name if name.startswith("lm_head") else f"model.{name}": tensor for name, tensor in weights.items()}
    save_file(named, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(folder)
    _write_json(folder / "tokenizer_config.json", tokenizer.config())
    _write_json(folder / "config.json", _hugging_face_config(config))
    ids = {f"{name}_token_id": vocabulary.word_id(token) for name, token in _SPECIAL.items()}
    _write_json(folder / "generation_config.json", {**ids, "do_sample": False})


_SPECIAL = {"bos": BOS, "eos": EOS, "pad": PAD}


def _hugging_face_config(config: Config) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "intermediate_size": config.hidden,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.heads,
        "head_dim": config.head_width,
        "hidden_act": "silu",
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.norm_epsilon,
        "rope_theta": config.rotary_base,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        **{f"{name}_token_id": vocabulary.word_id(token) for name, token in _SPECIAL.items()},
        "apr_dialect": DIALECT,
    }


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
