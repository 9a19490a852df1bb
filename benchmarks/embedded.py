"""The embedded engine, with a random model of 113M parameters (Q8_0) made on the spot: what is evaluated, how fast."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from apr_agents import Budget, Message, Settings, load_dialect, run
from apr_agents.context import Context
from apr_agents.engines.base import Chunk, EngineInfo, Finish, Request, Sampling, Usage
from apr_agents.engines.llamacpp import EmbeddedEngine, bindings
from apr_agents.engines.llamacpp.decoder import Decoder, Piece
from apr_agents.engines.llamacpp.model import Model
from apr_agents.engines.llamacpp.sampling import Sampler
from apr_agents.engines.llamacpp.server import physical_cores
from benchmarks.figure import Figure, ratio_of_medians, show, spread
from tests.support.asking import ask, ask_all, header
from tests.support.random_gguf import RandomModel, write
from tests.support.relay import Relay

MODEL = RandomModel(
    hidden=768, layers=12, heads=12, feed_forward=3072, context=4096, quantized=True, quiet=True, add_bos=True
)
BRANCHES, PREFIX, BATCH = 8, 1000, 512
BLOCK = "<Parallel>" + "<Outlines>" + "".join(f"<Outline>{n}: x</Outline>" for n in range(1, 9)) + "</Outlines>"


class OpeningEngine(Relay):
    """An engine whose first answer is a block, written for it, and whose last is a word; it decodes the branches.

    Random weights open no block, and the driver forks only what an engine generated.
    """

    def __init__(self, engine: EmbeddedEngine) -> None:
        super().__init__(engine)
        self._opened = False

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("random", self._engine.info.window, ("threadweaver",))

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        return super().stream(request) if request.path.depth else self._written(request)

    @asynccontextmanager
    async def _written(self, request: Request) -> AsyncGenerator[AsyncIterator[Chunk]]:
        text, matched = ("then", None) if self._opened else (BLOCK, "</Outlines>")
        self._opened = True
        ids = self.encode(text, control=True) or ()
        finish = Finish("stop", matched, Usage(request.context.tokens, None, len(ids)))

        async def chunks() -> AsyncGenerator[Chunk]:
            yield Chunk(text, ids, finish)

        yield chunks()


@dataclass(frozen=True, slots=True)
class Bare:
    """The same batch in a loop over the C API, without engine, driver or event loop."""

    decoder: Decoder
    samplers: list[Sampler]

    def speed(self, prefix: Sequence[int], headers: Sequence[Sequence[int]], tokens: int) -> float:
        """Generated tokens a second, the prefix's evaluation included."""
        started = time.perf_counter()
        for start in range(0, len(prefix), BATCH):
            self.decoder.evaluate([Piece(0, start, prefix[start : start + BATCH], sampled=False)])
        for sequence in range(1, len(headers)):
            self.decoder.fork(0, sequence, len(prefix))
        pieces = [Piece(sequence, len(prefix), header, sampled=True) for sequence, header in enumerate(headers)]
        for _ in range(tokens):
            self.decoder.evaluate(pieces)
            pieces = list(self._next(pieces))
        seconds = time.perf_counter() - started
        for sequence in range(len(headers)):
            self.decoder.drop(sequence)
        return len(headers) * tokens / seconds

    def _next(self, pieces: Sequence[Piece]) -> list[Piece]:
        index = -1
        following: list[Piece] = []
        for piece, sampler in zip(pieces, self.samplers, strict=True):
            index += len(piece.tokens)
            token = sampler.sample(self.decoder, index)
            following.append(Piece(piece.sequence, piece.position + len(piece.tokens), [token], sampled=True))
        return following


def question(number: int) -> str:
    """A prompt of PREFIX tokens that shares nothing with another number's."""
    return (f"{number} " + "x y " * PREFIX)[: PREFIX - 8]


def thread(engine: EmbeddedEngine, parent: Context, number: int) -> Context:
    """This context, and the header of a branch behind it."""
    return header(engine, parent, f"\n<Thread>{number}:")


async def evaluated(engine: EmbeddedEngine) -> list[Figure]:
    """Prompt tokens that a fork and a join evaluate, over those that they must."""
    parent = engine.prompt([Message("user", question(90))], {})
    requests = [Request(thread(engine, parent, number), 8) for number in range(1, BRANCHES + 1)]
    before = engine.counters.evaluated
    found = [answer.context for answer in await ask_all(engine, requests)]
    forked = engine.counters.evaluated - before - BRANCHES * 7
    own = sum(request.context.tokens - parent.tokens for request in requests)
    others = [segment for number in range(1, BRANCHES) for segment in found[number].since(parent)]
    joined = thread(engine, found[0].extend(*others), 9)
    before = engine.counters.evaluated
    await ask(engine, Request(joined, 1))
    new = joined.tokens - found[0].tokens + 1
    at_join = engine.counters.evaluated - before
    detail = f"{forked} evaluated, prefix {parent.tokens} + headers {own}"
    return [
        Figure("prompt tokens of a fork into 8", forked / (parent.tokens + own), "x", 1.0, "lower", detail),
        Figure("prompt tokens of a join of 8", at_join / new, "x", 1.0, "lower", f"{at_join} evaluated, {new} new"),
    ]


async def through_run(engine: EmbeddedEngine, bare: Bare, rounds: int, tokens: int) -> Figure:
    """Branches through `apr_agents.run` beside a bare loop over the same batch, in turns."""
    settings = Settings(load_dialect("threadweaver"), max_tokens=tokens, budget=Budget())
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds):
        parent = engine.prompt([Message("user", question(number))], {})
        prefix = [*parent.ids, *engine.encode(BLOCK, control=True)]
        headers = [engine.encode(f"\n<Thread>{n}:", control=True) for n in range(1, BRANCHES + 1)]
        theirs.append(bare.speed(prefix, headers, tokens))
        started = time.perf_counter()
        result = await run(OpeningEngine(engine), question(number), settings)
        seconds = time.perf_counter() - started
        assert len(result.outcomes) == BRANCHES, result
        ours.append(BRANCHES * tokens / seconds)
    detail = f"tokens/s: run {spread(ours)}; bare loop {spread(theirs)}"
    return Figure("8 branches through run, of a bare loop", ratio_of_medians(ours, theirs), "x", 0.9, "higher", detail)


async def at_once(engine: EmbeddedEngine, rounds: int, tokens: int) -> Figure:
    """Eight requests at once beside the same eight one after another, their prefix evaluated before."""
    together: list[float] = []
    alone: list[float] = []
    for number in range(50, 50 + rounds):
        parent = engine.prompt([Message("user", question(number))], {})
        await ask(engine, Request(parent, 1))
        requests = [Request(thread(engine, parent, n), tokens, sampling=Sampling()) for n in range(1, 2 * BRANCHES + 1)]
        started = time.perf_counter()
        await ask_all(engine, requests[:BRANCHES])
        together.append(time.perf_counter() - started)
        started = time.perf_counter()
        for request in requests[BRANCHES:]:
            await ask(engine, request)
        alone.append(time.perf_counter() - started)
    detail = f"seconds: at once {spread(together)}; one after another {spread(alone)}"
    return Figure("8 at once, of one after another", ratio_of_medians(alone, together), "x", 2.5, "higher", detail)


async def measure(path: Path, rounds: int, tokens: int) -> None:
    """Print each figure as it is there."""
    library = bindings.load()
    model = Model(library, path)
    decoder = Decoder(library, model, cells=MODEL.context, sequences=BRANCHES, threads=physical_cores(), batch=BATCH)
    bare = Bare(decoder, [Sampler(library, Sampling()) for _ in range(BRANCHES)])
    async with EmbeddedEngine(path, batch=BATCH) as engine:
        show(await evaluated(engine))
        show([await through_run(engine, bare, rounds, tokens)])
        show([await at_once(engine, rounds, tokens // 4)])
    for sampler in bare.samplers:
        sampler.close()
    decoder.close()
    model.close()


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--tokens", type=int, default=128, help="of each branch")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(measure, write(Path(folder) / "random.gguf", MODEL), options.rounds, options.tokens)


if __name__ == "__main__":
    main()
