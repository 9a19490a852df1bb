"""A small Llama in PyTorch, in the layout of Hugging Face (rotary halves, separate q, k and v)."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from . import vocabulary
from .game import LARGEST_VALUE

# Periods of the features that describe a number to its embedding; arithmetic is then close to rotation.
NUMBER_PERIODS = (2, 3, 4, 5, 7, 10, 13, 20, 33, 50, 100, 200, 400)
LOGARITHM_PERIODS = (0.7, 1.5, 3.0, 6.0, 12.0)


@dataclass(frozen=True)
class Config:
    """The shape of the model."""

    vocabulary: int = len(vocabulary.tokens())
    width: int = 128
    layers: int = 5
    heads: int = 4
    hidden: int = 384
    rotary_base: float = 10_000.0
    norm_epsilon: float = 1e-5
    context: int = 4096

    @property
    def head_width(self) -> int:
        """The width of one attention head."""
        return self.width // self.heads


class Attend(Protocol):
    """How the tokens of a batch see one another: training and generation each bring their own."""

    def __call__(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Mixes the values; all four tensors are `[tokens, heads, head width]`."""
        ...


class Rotary(nn.Module):
    """The cosines and sines of each position, `[tokens, 1, head width]`, both halves alike."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        exponents = torch.arange(0, config.head_width, 2).float() / config.head_width
        self.register_buffer("frequencies", config.rotary_base**-exponents, persistent=False)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        angles = positions[:, None, None].float() * self.get_buffer("frequencies")
        angles = torch.cat((angles, angles), -1)
        return angles.cos(), angles.sin()


def rotate(vectors: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Turns each pair (i, i + half) of the head by its position's angle."""
    cosines, sines = rotary
    first, second = vectors.chunk(2, -1)
    return vectors * cosines + torch.cat((-second, first), -1) * sines


class Attention(nn.Module):
    """Multi-head attention with rotary positions."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self._shape = (-1, config.heads, config.head_width)
        self._layer = layer
        self.q_proj = _matrix(config.width, config.width, 0.7)
        self.k_proj = _matrix(config.width, config.width, 0.7)
        self.v_proj = _matrix(config.width, config.width, 0.7)
        self.o_proj = _matrix(config.width, config.width, 0.3)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor], attend: Attend) -> Tensor:
        queries = rotate(self.q_proj(x).view(self._shape), rotary)
        keys = rotate(self.k_proj(x).view(self._shape), rotary)
        values = self.v_proj(x).view(self._shape)
        return self.o_proj(attend(self._layer, queries, keys, values).reshape(x.shape))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gate_proj = _matrix(config.width, config.hidden, 0.7)
        self.up_proj = _matrix(config.width, config.hidden, 0.7)
        self.down_proj = _matrix(config.hidden, config.width, 0.3)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One transformer layer."""

    def __init__(self, config: Config, number: int) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.width, config.norm_epsilon)
        self.self_attn = Attention(config, number)
        self.post_attention_layernorm = nn.RMSNorm(config.width, config.norm_epsilon)
        self.mlp = FeedForward(config)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor], attend: Attend) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rotary, attend)
        return x + self.mlp(self.post_attention_layernorm(x))


class Model(nn.Module):
    """Token ids and positions in, next-token logits out. Parameters have the names of Hugging Face, less `model.`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(Layer(config, number) for number in range(config.layers))
        self.norm = nn.RMSNorm(config.width, config.norm_epsilon)
        self.lm_head = nn.Linear(config.width, config.vocabulary, bias=False)
        self._rotary = Rotary(config)
        _initialise(self.embed_tokens.weight, 0.5, 0.7)
        _initialise(self.lm_head.weight, 0.02, 0.05)

    def forward(self, ids: Tensor, positions: Tensor, attend: Attend, selected: Tensor | None = None) -> Tensor:
        """The logits of a flat list of tokens, or of the selected indices of it, `[tokens, vocabulary]`."""
        x = self.embed_tokens(ids)
        rotary = self._rotary(positions)
        for layer in self.layers:
            x = layer(x, rotary, attend)
        if selected is not None:
            x = x[selected]
        return self.lm_head(self.norm(x))


def _matrix(inputs: int, outputs: int, scale: float) -> nn.Linear:
    matrix = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(matrix.weight, std=scale * inputs**-0.5)
    return matrix


@torch.no_grad()
def _initialise(weight: Tensor, scale: float, number_scale: float) -> None:
    """Random rows, except that numbers start from what describes them; a label starts as its number."""
    weight.normal_(std=scale)
    features = number_features()
    width = features.shape[1]
    rows = [(vocabulary.word_id(f" {number}"), number) for number in range(LARGEST_VALUE + 1)]
    rows += [(vocabulary.word_id(str(label)), label) for label in range(1, vocabulary.LARGEST_LABEL + 1)]
    for row, number in rows:
        weight[row, :width] = features[number] * number_scale
        weight[row, width:] *= 0.6


def number_features() -> Tensor:
    """Cosines and sines of every number and of its logarithm, `[201, 36]`."""
    numbers = torch.arange(LARGEST_VALUE + 1).float()
    angles = [numbers / period for period in NUMBER_PERIODS]
    angles += [torch.log(numbers + 1) / period for period in LOGARITHM_PERIODS]
    columns = [function(2 * math.pi * angle) for angle in angles for function in (torch.cos, torch.sin)]
    return torch.stack(columns, 1)
