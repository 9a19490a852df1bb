"""A model's folder without weights: a shape, and the shipped model's tokenizer with as many tokens as that has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).parents[2] / "training" / "countdown-hf"


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a model decides how fast it is."""

    vocabulary: int
    hidden: int
    feed_forward: int
    layers: int
    heads: int
    kv_heads: int
    window: int

    @property
    def config(self) -> dict[str, object]:
        """As `config.json` has it."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.feed_forward,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "hidden_act": "silu",
            "max_position_embeddings": self.window,
            "rms_norm_eps": 1e-05,
            "rope_theta": 500000.0,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
        }


SHAPES: Mapping[str, Shape] = {
    "8b": Shape(128_256, 4096, 14_336, 32, 32, 8, 65_536),
    "tiny": Shape(1024, 64, 128, 2, 2, 2, 8192),
}
"""`8b` is that of Llama 3 8B; `tiny` proves the command where there is no GPU."""


def write_model(folder: Path, shape: Shape) -> Path:
    """The folder, with all that a server wants of a model that it loads with `--load-format dummy`."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer: dict[str, Any] = json.loads((SHIPPED / "tokenizer.json").read_text())
    known = len(tokenizer["model"]["vocab"])
    tokenizer["model"]["vocab"] |= {f"w{number}": number for number in range(known, shape.vocabulary)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    for name in ("tokenizer_config.json", "generation_config.json"):
        (folder / name).write_bytes((SHIPPED / name).read_bytes())
    settings: dict[str, Any] = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": shape.window}))
    (folder / "config.json").write_text(json.dumps(shape.config))
    return folder
