"""One llama.cpp context: evaluates batches of tokens, and forks and cuts the sequences that it holds.

All of it belongs to one thread, the scheduler's.
"""

from __future__ import annotations

import ctypes as c
from collections.abc import Sequence
from dataclasses import dataclass

from apr_agents.engines.llamacpp.bindings import Batch, Library
from apr_agents.engines.llamacpp.model import Model
from apr_agents.errors import EngineUnavailable

_OUT_OF_CELLS = 1
_NO_FLASH_ATTENTION = 0


class DecodeFailed(Exception):
    """llama.cpp could not evaluate a batch; what its sequences hold is unknown."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive tokens of one sequence, to be evaluated."""

    sequence: int
    position: int
    """Tokens that the sequence holds before these."""
    tokens: Sequence[int]
    sampled: bool
    """Whether a token is to be sampled after the last of these."""


class Decoder:
    """An open llama.cpp context over a model; `close` frees it."""

    def __init__(
        self,
        library: Library,
        model: Model,
        *,
        cells: int,
        sequences: int,
        threads: int,
        batch: int,
        exact: bool = False,
    ) -> None:
        """Raises EngineUnavailable when llama.cpp refuses, as it does when memory is short.

        Flash attention sums 16-bit values in the order of the cells, so that what else is cached changes the logits
        (by 0.1 on small quantised models); without it (`exact`) by 1e-6, but each token looks at the cells of all
        sequences, and all its scores are in memory at once.
        """
        self._api = library.api
        params = self._api.llama_context_default_params()
        params.n_ctx = cells
        params.n_batch = params.n_ubatch = batch
        params.n_seq_max = params.n_outputs_max = sequences
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True  # without it, forking a part of a sequence aborts the process
        if exact:
            params.flash_attn_type = _NO_FLASH_ATTENTION
        library.forget()
        self.handle: int | None = self._api.llama_init_from_model(model.handle, params)
        if not self.handle:
            reason = library.reason() or "it gave no reason"
            raise EngineUnavailable(f"llama.cpp cannot open a context of {cells} tokens: {reason}; ask for fewer")
        self.cells: int = self._api.llama_n_ctx(self.handle)
        self.batch: int = self._api.llama_n_batch(self.handle)  # no more than there are cells
        self._memory: int = self._api.llama_get_memory(self.handle)
        self._arrays = _Arrays(self.batch)

    def close(self) -> None:
        if self.handle:
            self._api.llama_free(self.handle)
        self.handle = None

    def evaluate(self, pieces: Sequence[Piece]) -> bool:
        """Evaluate these, at most `batch` tokens; False, and nothing changed, when they do not fit the cells.

        Raises DecodeFailed when llama.cpp fails.
        """
        result: int = self._api.llama_decode(self.handle, self._arrays.fill(pieces))
        if result not in (0, _OUT_OF_CELLS):
            raise DecodeFailed(f"llama.cpp failed to evaluate a batch (llama_decode gave {result})")
        return result == 0

    def fork(self, source: int, target: int, tokens: int) -> None:
        """Let `target` share the first tokens of `source`; nothing is copied."""
        self._api.llama_memory_seq_cp(self._memory, source, target, 0, tokens)

    def cut(self, sequence: int, tokens: int) -> bool:
        """Keep only the first tokens of a sequence; False when the model cannot be rewound there."""
        return bool(self._api.llama_memory_seq_rm(self._memory, sequence, tokens, -1))

    def drop(self, sequence: int) -> None:
        """Forget a whole sequence."""
        self._api.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def held(self, sequence: int) -> int:
        """Tokens that llama.cpp itself says this sequence holds."""
        return int(self._api.llama_memory_seq_pos_max(self._memory, sequence)) + 1


class _Arrays:
    """The memory of one batch, used again for each."""

    def __init__(self, size: int) -> None:
        numbers = c.c_int32 * size
        self._token, self._position, self._sequence, self._one = numbers(), numbers(), numbers(), numbers(*([1] * size))
        self._logits = (c.c_int8 * size)()
        number = c.POINTER(c.c_int32)
        start, step = c.addressof(self._sequence), c.sizeof(c.c_int32)
        self._sequences = (number * size)(*(c.cast(start + index * step, number) for index in range(size)))
        self._batch = Batch(
            token=self._token, pos=self._position, n_seq_id=self._one, seq_id=self._sequences, logits=self._logits
        )

    def fill(self, pieces: Sequence[Piece]) -> Batch:
        index = 0
        for piece in pieces:
            count = len(piece.tokens)
            end = index + count
            self._token[index:end] = piece.tokens
            self._position[index:end] = range(piece.position, piece.position + count)
            self._sequence[index:end] = [piece.sequence] * count
            self._logits[index:end] = [0] * (count - 1) + [piece.sampled]
            index = end
        self._batch.n_tokens = index
        return self._batch
