"""The ways to a server, each as an engine on a double: one table of faults serves them all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

from apr_agents.engines.base import Engine
from apr_agents.engines.litellm import LiteLLMEngine
from apr_agents.engines.litellm.loading import load
from apr_agents.engines.sglang import SGLangEngine
from tests.support.servers.double import Double, Faults, serving
from tests.support.servers.facts import Serving
from tests.support.servers.saying import Saying
from tests.support.servers.speech import SHIPPED

LITELLM = "ignore:Item .* on TypedDict class:UserWarning"
"""What pydantic has to say of LiteLLM's types, when they are first used."""

load()  # LiteLLM takes seconds to import, which belong to no test


@dataclass(frozen=True, slots=True)
class Way:
    """An engine and the server behind it."""

    engine: Engine
    double: Double
    saying: Saying
    _server: AsyncExitStack

    async def stop(self) -> None:
        """The server is gone."""
        await self._server.aclose()


@dataclass(frozen=True, slots=True)
class Transport:
    """`make`: the engine on this address, with this script."""

    make: Callable[[str, Saying], Engine]
    watched: bool = True
    """Whether requests are watched: where not, an engine may ask for fewer events."""
    plain: bool = False
    """Whether they are for no new tokens, whose answers come in one piece."""
    native: bool = True
    """Whether the wire counts each event."""
    serving: Serving = field(default_factory=Serving)

    @asynccontextmanager
    async def open(
        self, script: Mapping[str, str | Sequence[str]], faults: Faults, *, window: int = 4096
    ) -> AsyncGenerator[Way]:
        """An engine on a double that says this and does that."""
        double = Double(replace(self.serving, window=window), faults)
        saying = Saying(script, double.speaker)
        async with AsyncExitStack() as server:
            await server.enter_async_context(serving(double))
            async with self.make(double.url, saying) as engine:
                yield Way(engine, double, saying, server)


def sglang(url: str, saying: Saying) -> Engine:
    return SGLangEngine(url, tokenizer=SHIPPED, extend=saying.native)


def litellm_text(url: str, saying: Saying) -> Engine:
    model = "text-completion-openai/countdown"
    return LiteLLMEngine(model, api_base=f"{url}/v1", tokenizer=SHIPPED, extend=saying.openai)


def litellm_chat(url: str, saying: Saying) -> Engine:
    return LiteLLMEngine("hosted_vllm/countdown", api_base=f"{url}/v1", tokenizer=SHIPPED, extend=saying.openai)


def litellm_openai_chat(url: str, saying: Saying) -> Engine:
    return LiteLLMEngine("openai/countdown", api_base=f"{url}/v1", tokenizer=SHIPPED, extend=saying.openai)


def apr_sglang(url: str, saying: Saying) -> Engine:
    return LiteLLMEngine("apr-sglang/countdown", api_base=url, tokenizer=SHIPPED, extend=saying.native)


TRANSPORTS = {
    "sglang": Transport(sglang),
    "sglang-incremental": Transport(sglang, serving=Serving(incremental=True)),
    "sglang-unwatched": Transport(sglang, watched=False),
    "litellm-text": Transport(litellm_text, native=False),
    "litellm-chat": Transport(litellm_chat, native=False),
    "litellm-openai-chat": Transport(litellm_openai_chat, native=False),
    "apr-sglang": Transport(apr_sglang),
    "apr-sglang-unwatched": Transport(apr_sglang, watched=False),
}
"""For runs."""
PLAIN_TRANSPORTS = {"sglang-warming": Transport(sglang, watched=False, plain=True)}
"""For what a run evaluates ahead."""
