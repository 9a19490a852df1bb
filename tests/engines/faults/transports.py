"""The ways to a server, each as an engine on a double: one table of faults serves them all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from apr_agents.engines.base import Engine
from apr_agents.engines.sglang import SGLangEngine
from tests.support.servers.double import Double, Faults, serving
from tests.support.servers.facts import Serving
from tests.support.servers.saying import Saying
from tests.support.servers.speech import SHIPPED


@dataclass(frozen=True, slots=True)
class Way:
    """An engine and the server behind it."""

    engine: Engine
    double: Double


@dataclass(frozen=True, slots=True)
class Transport:
    """`make`: the engine on this address, with this script."""

    make: Callable[[str, Saying], Engine]
    watched: bool = True
    """Whether requests are watched: where not, an engine may ask for plain answers."""
    plain: bool = False
    """Whether they are plain."""
    native: bool = True
    """Whether the wire counts each event."""
    serving: Serving = field(default_factory=Serving)

    def open(self, script: Mapping[str, str | tuple[str, ...]], faults: Faults) -> AbstractAsyncContextManager[Way]:
        return _open(self, script, faults)


@asynccontextmanager
async def _open(
    transport: Transport, script: Mapping[str, str | tuple[str, ...]], faults: Faults
) -> AsyncGenerator[Way]:
    async with (
        serving(Double(transport.serving, faults)) as double,
        transport.make(double.url, Saying(script, double.speaker)) as engine,
    ):
        yield Way(engine, double)


def sglang(url: str, saying: Saying) -> Engine:
    return SGLangEngine(url, tokenizer=SHIPPED, extend=saying.native)


TRANSPORTS = {
    "sglang": Transport(sglang),
    "sglang-incremental": Transport(sglang, serving=Serving(incremental=True)),
    "sglang-plain": Transport(sglang, watched=False, plain=True),
}
