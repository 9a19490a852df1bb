"""Which token comes next: greedy, or drawn with a seed from what temperature, top-k and top-p leave."""

from __future__ import annotations

from apr_agents.engines.base import Sampling
from apr_agents.engines.llamacpp.bindings import Library, SamplerChainParams
from apr_agents.engines.llamacpp.decoder import Decoder

_RANDOM_SEED = 0xFFFFFFFF
"""llama.cpp takes this one value as "seed from the clock"."""


def fold(seed: int) -> int:
    """Any integer as a 32-bit seed that llama.cpp takes for what it is."""
    return seed % _RANDOM_SEED


class Sampler:
    """A chain of llama.cpp's samplers with a state of its own, so that the rest of a batch has no influence on it."""

    def __init__(self, library: Library, sampling: Sampling) -> None:
        """The order is that of most servers: temperature, then top-k, then top-p, then the draw."""
        api = self._api = library.api
        self._chain: int | None = api.llama_sampler_chain_init(SamplerChainParams(no_perf=True))
        if sampling.temperature <= 0:
            stages = [api.llama_sampler_init_greedy()]
        else:
            stages = [api.llama_sampler_init_temp(sampling.temperature)]
            if sampling.top_k > 0:
                stages.append(api.llama_sampler_init_top_k(sampling.top_k))
            if sampling.top_p < 1:
                stages.append(api.llama_sampler_init_top_p(sampling.top_p, 1))
            stages.append(api.llama_sampler_init_dist(fold(sampling.seed)))
        for stage in stages:
            api.llama_sampler_chain_add(self._chain, stage)

    def sample(self, decoder: Decoder, index: int) -> int:
        """The next token after the batch's token at `index`."""
        return int(self._api.llama_sampler_sample(self._chain, decoder.handle, index))

    def close(self) -> None:
        if self._chain:
            self._api.llama_sampler_free(self._chain)
        self._chain = None
