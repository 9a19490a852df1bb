"""The engines that payloads are sent to, what they were asked, and which of their ids are special."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from apr_agents.context import Context, Origin
from apr_agents.engines.base import Chunk, Engine, Request
from apr_agents.engines.llamacpp import EmbeddedEngine
from apr_agents.engines.scripted import ScriptedEngine
from apr_agents.engines.sglang import SGLangEngine
from tests.support.random_gguf import SPECIAL, TAGS, RandomModel, write
from tests.support.relay import Relay
from tests.support.scripts import THREADWEAVER, closed
from tests.support.servers.double import Double, serving
from tests.support.servers.facts import Serving
from tests.support.servers.saying import Saying
from tests.support.servers.speech import SHIPPED, Speaker

SPECIAL_TOKENS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "</s>",
    "[INST]",
    "<｜User｜>",
    "</think>",
)
"""Special tokens that the vocabularies have, beside the tags."""
CHATML = (
    "{{ bos_token }}{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


class Overheard(Relay):
    """An engine, and what it was asked: its mutable state is those requests."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.requests: list[Request] = []

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        self.requests.append(request)
        return super().stream(request)


@dataclass(frozen=True, slots=True)
class Subject:
    """An open engine."""

    engine: Overheard
    specials: frozenset[int]
    """The ids of its special tokens and tags."""
    double: Double | None = None
    """The server, if it is one."""

    def special(self, context: Context, *origins: Origin) -> list[int]:
        """The special tokens in what these origins wrote, in order."""
        segments = [segment for segment in context.segments if segment.origin in origins]
        return [token for segment in segments for token in segment.ids or () if token in self.specials]

    def sent(self) -> list[tuple[int, ...]]:
        """The ids of each request, as they went out."""
        asked = [request.context.ids for request in self.engine.requests]
        if self.double is not None:
            assert [generation.ask.prompt for generation in self.double.generations] == asked
        return asked


@asynccontextmanager
async def opened(name: str, folder: Path, says: Mapping[str, str] | None = None) -> AsyncGenerator[Subject]:
    """The engine of this name; `says`: by branch path, where it says what it is told to."""
    make = {"scripted": _scripted, "embedded": _embedded, "sglang": _sglang}[name]
    async with make(folder, says or {}) as subject:
        yield subject


@asynccontextmanager
async def _scripted(folder: Path, says: Mapping[str, str]) -> AsyncGenerator[Subject]:
    def said(request: Request) -> str:
        return says.get(str(request.path), closed(" so") if request.path.depth else " so it is")

    async with ScriptedEngine(said, THREADWEAVER) as engine:
        yield Subject(Overheard(engine), frozenset(engine.vocabulary.tags.values()))


@asynccontextmanager
async def _embedded(folder: Path, says: Mapping[str, str]) -> AsyncGenerator[Subject]:
    """It writes no special token by itself, so whatever it forked would be a payload's doing."""
    made = RandomModel(quiet=True, context=16_384, template=CHATML, specials=SPECIAL_TOKENS)
    async with EmbeddedEngine(write(folder / "random.gguf", made), threads=1) as engine:
        yield Subject(Overheard(engine), _ids(engine))


@asynccontextmanager
async def _sglang(folder: Path, says: Mapping[str, str]) -> AsyncGenerator[Subject]:
    double = Double(Serving(window=65_536))
    double.speaker = Speaker(_special_tokenizer(folder))
    extend = Saying(says, double.speaker).native if says else None
    async with serving(double), SGLangEngine(double.url, tokenizer=folder, extend=extend) as engine:
        yield Subject(Overheard(engine), _ids(engine), double)


def _ids(engine: Engine) -> frozenset[int]:
    found = [engine.encode(token, control=True) for token in (*SPECIAL, *TAGS, *SPECIAL_TOKENS)]
    assert all(ids is not None and len(ids) == 1 for ids in found)
    return frozenset(token for ids in found for token in ids or ())


def _special_tokenizer(folder: Path) -> Path:
    """The shipped model's tokenizer with more special tokens, and a template that is made of them."""
    made = json.loads((SHIPPED / "tokenizer.json").read_text())
    pattern = next(token for token in made["added_tokens"] if token["content"] == "<Parallel>")
    size = len(made["model"]["vocab"])
    made["added_tokens"] += [
        {**pattern, "id": size + place, "content": content} for place, content in enumerate(SPECIAL_TOKENS)
    ]
    settings = json.loads((SHIPPED / "tokenizer_config.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(made))
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": CHATML}))
    return folder
