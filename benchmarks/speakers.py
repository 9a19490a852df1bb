"""Engines that say a script: each as it is, but for what chooses the next token."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from unittest import mock

from apr_agents import load_dialect
from apr_agents.engines.base import Chunk, Engine, Request, Sampling
from apr_agents.engines.llamacpp import EmbeddedEngine, scheduler
from apr_agents.engines.llamacpp.bindings import Library
from apr_agents.engines.llamacpp.decoder import Decoder
from apr_agents.engines.llamacpp.sampling import Sampler
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.engines.sglang import SGLangEngine
from apr_agents.errors import UsageError
from benchmarks.script import Prompter
from benchmarks.server import Served

TOKEN_SECONDS, PREFILL_SECONDS = 0.010, 0.0001
"""Virtual seconds of the scripted engine's tokens, said and read."""


@asynccontextmanager
async def speaker(served: Served, prompter: Prompter) -> AsyncGenerator[Engine]:
    """An open engine that says what the prompter tells it. Raises UsageError for a spec that cannot be made to."""
    spec, processor = served.spec, served.processor
    kind, _, rest = spec.partition(":")
    if kind == "scripted":
        async with _scripted(prompter) as engine:
            yield engine
    elif kind in ("sglang", "litellm"):
        if processor is None:
            raise UsageError(f"engine {spec}: name its scripted logit processor, --processor FILE")
        async with _served(kind, rest, Extension(prompter, processor)) as engine:
            yield engine
    elif kind == "embedded":
        with mock.patch.object(scheduler, "Sampler", sampler):
            async with SpeakingEmbedded(prompter) as engine:
                yield engine
    else:
        raise UsageError(f"engine {spec!r}: scripted, embedded, sglang:URL and litellm:URL can be made to say a script")


def _served(kind: str, url: str, extend: Extension) -> Engine:
    """The engine of a SGLang server, by itself or by the provider that is LiteLLM's."""
    if kind == "sglang":
        return SGLangEngine(url, extend=extend)
    from apr_agents.engines.litellm import LiteLLMEngine

    return LiteLLMEngine("apr-sglang/countdown", api_base=url, extend=extend)


def _scripted(prompter: Prompter) -> ScriptedEngine:
    def reply(request: Request) -> Reply:
        return Reply(prompter.line(request).text, TOKEN_SECONDS, PREFILL_SECONDS)

    return ScriptedEngine(reply, load_dialect("threadweaver"))


@dataclass(frozen=True, slots=True)
class Extension:
    """The fields that make a SGLang server say a script; it must run with --enable-custom-logit-processor."""

    prompter: Prompter
    processor: str

    def __call__(self, request: Request) -> Mapping[str, object]:
        if not request.max_tokens:
            return {}
        said = list(self.prompter.line(request).ids)
        return {
            "custom_logit_processor": self.processor,
            "sampling_params": {"custom_params": {"script": said}},
        }


@dataclass(frozen=True, slots=True)
class Spoken(Sampling):
    """Sampling that chooses these tokens, one after the other."""

    ids: tuple[int, ...] = ()


class SpeakingEmbedded(EmbeddedEngine):
    """The embedded engine with the shipped model; every token is evaluated, and the next one is the script's."""

    def __init__(self, prompter: Prompter) -> None:
        super().__init__(sequences=160)
        self._prompter = prompter

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        return super().stream(replace(request, sampling=Spoken(ids=self._prompter.line(request).ids)))


def sampler(library: Library, sampling: Sampling) -> Sampler | SpokenSampler:
    """In place of the scheduler's sampler: llama.cpp's own for every other request."""
    return SpokenSampler(sampling.ids) if isinstance(sampling, Spoken) else Sampler(library, sampling)


class SpokenSampler:
    """Chooses the tokens of a script; its mutable state is how many it has chosen."""

    def __init__(self, ids: tuple[int, ...]) -> None:
        self._ids, self._next = ids, 0

    def sample(self, decoder: Decoder, index: int) -> int:
        """The next token, whatever the logits say."""
        self._next += 1
        return self._ids[self._next - 1]

    def close(self) -> None:
        """Nothing is held."""
