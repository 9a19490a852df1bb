"""Batches: the tokens of several units as one flat list, and the attention that keeps units and branches apart.

Only attention pads. Trunks attend to themselves; each branch attends to its unit's trunk and to itself.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor

from .units import Unit


class Batch(NamedTuple):
    """A flat list of tokens, `[tokens]` each, and how they see one another."""

    ids: Tensor
    positions: Tensor
    weights: Tensor
    attend: "TreeAttention"


class Rows:
    """Stretches of the flat list laid out as padded rows, `[rows, longest]`."""

    def __init__(self, stretches: Sequence[range]) -> None:
        self.lengths = torch.tensor([len(stretch) for stretch in stretches])
        longest = int(self.lengths.max())
        self._index = torch.tensor([[*stretch, *[0] * (longest - len(stretch))] for stretch in stretches])

    def __call__(self, tokens: Tensor) -> Tensor:
        """`[tokens, heads, width]` to `[rows, heads, longest, width]`."""
        rows = tokens.index_select(0, self._index.flatten())
        return rows.view(*self._index.shape, *tokens.shape[1:]).transpose(1, 2)

    def places(self) -> tuple[Tensor, Tensor]:
        """Of each token in these rows, its place in the flat list and its place in the flattened rows."""
        used = torch.arange(self._index.shape[1]) < self.lengths[:, None]
        return self._index[used], used.flatten().nonzero().squeeze(1)

    @property
    def size(self) -> int:
        """The number of places in the rows, padding included."""
        return self._index.numel()

    @property
    def longest(self) -> int:
        """The length of a row."""
        return self._index.shape[1]


class TreeAttention:
    """Attention over trunks and over the branches on them."""

    def __init__(self, trunks: Sequence[range], branches: Sequence[range], owners: Sequence[int]) -> None:
        self._trunks = Rows(trunks)
        self._branches = Rows(branches) if branches else None
        self._owners = torch.tensor(owners, dtype=torch.long)
        self._back = torch.empty(sum(map(len, [*trunks, *branches])), dtype=torch.long)
        tokens, places = self._trunks.places()
        self._back[tokens] = places
        if self._branches is not None:
            tokens, places = self._branches.places()
            self._back[tokens] = self._trunks.size + places
            self._mask = self._branch_mask(self._branches)

    def __call__(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        trunk_keys, trunk_values = self._trunks(keys), self._trunks(values)
        mixed = functional.scaled_dot_product_attention(self._trunks(queries), trunk_keys, trunk_values, is_causal=True)
        parts = [mixed.transpose(1, 2).flatten(0, 1)]
        if self._branches is not None:
            seen_keys = torch.cat((trunk_keys[self._owners], self._branches(keys)), 2)
            seen_values = torch.cat((trunk_values[self._owners], self._branches(values)), 2)
            mixed = functional.scaled_dot_product_attention(
                self._branches(queries), seen_keys, seen_values, attn_mask=self._mask
            )
            parts.append(mixed.transpose(1, 2).flatten(0, 1))
        return torch.cat(parts).index_select(0, self._back)

    def _branch_mask(self, branches: Rows) -> Tensor:
        """What a branch sees: its trunk without the padding, and its own earlier tokens."""
        rows, length = len(branches.lengths), branches.longest
        trunk = torch.arange(self._trunks.longest) < self._trunks.lengths[self._owners][:, None]
        own = torch.ones(length, length, dtype=torch.bool).tril()
        return torch.cat((trunk[:, None].expand(-1, length, -1), own.expand(rows, -1, -1)), 2)[:, None]


def collate(units: Iterable[Unit]) -> Batch:
    """Joins units into one batch."""
    ids: list[int] = []
    positions: list[int] = []
    weights: list[float] = []
    trunks: list[range] = []
    branches: list[range] = []
    owners: list[int] = []
    for owner, unit in enumerate(units):
        trunk, *others = (range(len(ids) + part.start, len(ids) + part.stop) for part in unit.parts())
        trunks.append(trunk)
        branches += others
        owners += [owner] * len(others)
        ids += unit.ids
        positions += unit.positions
        weights += unit.weights
    attend = TreeAttention(trunks, branches, owners)
    return Batch(torch.tensor(ids), torch.tensor(positions), torch.tensor(weights), attend)
