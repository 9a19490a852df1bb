"""Greedy generation in PyTorch, many contexts at once, to compare with what llama.cpp generates."""

from collections.abc import Collection, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as functional
from torch import Tensor

from .batch import Rows
from .model import Config, Model

CONTEXTS_AT_ONCE = 256
SHRINK_BELOW = 0.75


class Memory:
    """Keys and values of a batch of contexts, and the attention over them: first prompts, then token by token."""

    def __init__(self, config: Config, contexts: Sequence[Sequence[int]], room: int) -> None:
        starts = [0]
        for context in contexts:
            starts.append(starts[-1] + len(context))
        self._prompts = Rows([range(first, last) for first, last in pairwise(starts)])
        self._tokens, self._places = self._prompts.places()
        shape = (len(contexts), config.heads, self._prompts.longest + room, config.head_width)
        self._keys = [torch.zeros(shape) for _ in range(config.layers)]
        self._values = [torch.zeros(shape) for _ in range(config.layers)]
        self.lengths = self._prompts.lengths.clone()

    def read(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attention within the prompts, which it remembers."""
        rows = self._prompts
        self._keys[layer][:, :, : rows.longest] = rows(keys)
        self._values[layer][:, :, : rows.longest] = rows(values)
        mixed = functional.scaled_dot_product_attention(rows(queries), rows(keys), rows(values), is_causal=True)
        flat = torch.empty_like(queries)
        flat[self._tokens] = mixed.transpose(1, 2).flatten(0, 1)[self._places]
        return flat

    def go_on(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attention of one new token per context."""
        rows = torch.arange(len(self.lengths))
        self._keys[layer][rows, :, self.lengths] = keys
        self._values[layer][rows, :, self.lengths] = values
        seen = int(self.lengths.max()) + 1
        mask = torch.arange(seen) <= self.lengths[:, None]
        mixed = functional.scaled_dot_product_attention(
            queries[:, :, None],
            self._keys[layer][:, :, :seen],
            self._values[layer][:, :, :seen],
            attn_mask=mask[:, None, None],
        )
        return mixed[:, :, 0]

    def keep(self, rows: Tensor) -> None:
        """Forgets all other contexts."""
        self._keys = [keys[rows] for keys in self._keys]
        self._values = [values[rows] for values in self._values]
        self.lengths = self.lengths[rows]


def generate(model: Model, contexts: Sequence[Sequence[int]], stops: Collection[int], most: int) -> list[list[int]]:
    """What the model writes after each context, up to and with a stop, or `most` tokens."""
    order = sorted(range(len(contexts)), key=lambda index: len(contexts[index]))
    written: list[list[int]] = [[] for _ in contexts]
    for first in range(0, len(order), CONTEXTS_AT_ONCE):
        chosen = order[first : first + CONTEXTS_AT_ONCE]
        parts = _generate([contexts[index] for index in chosen], model, stops, most)
        for index, part in zip(chosen, parts, strict=True):
            written[index] = part
    return written


@torch.inference_mode()
def _generate(contexts: Sequence[Sequence[int]], model: Model, stops: Collection[int], most: int) -> list[list[int]]:
    memory = Memory(model.config, contexts, most)
    ids = torch.tensor([token for context in contexts for token in context])
    positions = torch.cat([torch.arange(len(context)) for context in contexts])
    logits = model(ids, positions, memory.read, selected=memory.lengths.cumsum(0) - 1)
    written: list[list[int]] = [[] for _ in contexts]
    active = list(range(len(contexts)))
    for _ in range(most):
        latest = logits.argmax(-1)
        for row, token in zip(active, latest.tolist(), strict=True):
            if not (written[row] and written[row][-1] in stops):
                written[row].append(token)
        going = [place for place, row in enumerate(active) if written[row][-1] not in stops]
        if not going:
            break
        if len(going) < SHRINK_BELOW * len(active):
            rows = torch.tensor(going)
            memory.keep(rows)
            latest = latest[rows]
            active = [active[place] for place in going]
        logits = model(latest, memory.lengths, memory.go_on)
        memory.lengths += 1
    return written
