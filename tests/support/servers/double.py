"""A double of an inference server: its routes, its cache, its counts, and the faults it is told to have."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import anyio

from tests.support.servers import native, openai
from tests.support.servers.acts import DONE, Act, Answer, End, Head, Json, Send, Whole, dumped, framed, play
from tests.support.servers.facts import Serving, at_once
from tests.support.servers.http import Asked, Exchange, HttpServer, serve
from tests.support.servers.speech import Ask, Cache, Speaker, Step

Fault = Callable[[Answer], Sequence[Act]]
"""What a server does in place of an answer."""


@dataclass(slots=True)
class Generation:
    """One request for tokens. What changes: how it goes."""

    asked: Asked
    body: Json
    ask: Ask
    rid: str
    streamed: bool
    number: int
    """Of all requests with the same `branch`, from 1."""
    cached: int = 0
    sent: bytes = b""
    """The last piece of the body that went out."""
    ended: bool = False
    """Whether the server has come to the end of what it does, or the client has left."""
    aborted: bool = False
    answering: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    """Around what the server does for it."""

    def abort(self) -> None:
        self.aborted = True
        self.answering.cancel()

    @property
    def branch(self) -> str:
        """What the request says of itself in `custom_params.branch`: faults are dealt out by it."""
        asked: Json = self.body.get("sampling_params") or self.body
        custom: Json = asked.get("custom_params") or {}
        return str(custom.get("branch", ""))


Faults = Callable[[Generation], Fault | None]
"""What goes wrong with a request; None: nothing does."""


class Double:
    """A server as others see it. Its mutable state is what was asked of it and what its cache holds."""

    def __init__(
        self, serving: Serving | None = None, fault: Callable[[Generation], Fault | None] | None = None
    ) -> None:
        self.serving = serving or Serving()
        self.speaker = Speaker()
        self.cache = Cache()
        self.generations: list[Generation] = []
        """All requests for tokens that were taken, in the order of arrival."""
        self.aborts: list[str] = []
        """The ids that /abort_request was given."""
        self.hang_abort = False
        """Whether /abort_request never answers."""
        self.http = HttpServer(self._serve)
        self._fault = fault

    @property
    def url(self) -> str:
        return self.http.url

    @property
    def generating(self) -> int:
        """How many requests for tokens are being answered."""
        return sum(not generation.ended for generation in self.generations)

    def asked(self, branch: str) -> list[Generation]:
        """The requests for tokens of this branch."""
        return [generation for generation in self.generations if generation.branch == branch]

    async def _serve(self, exchange: Exchange) -> None:
        path = exchange.asked.path.partition("?")[0]
        if path in ("/v1/completions", "/v1/chat/completions"):
            return await self._openai(exchange, chat="chat" in path)
        if self.serving.profile is openai.SGLANG:
            if path == "/generate":
                return await self._native(exchange)
            if path == "/abort_request" and not self.serving.router:
                return await self._abort(exchange)
        said = at_once(path, exchange.asked, self.serving, self.speaker)
        status = 404 if said is None else 200
        return await exchange.respond(status, {"detail": "Not Found"} if said is None else said)

    async def _abort(self, exchange: Exchange) -> None:
        rid = exchange.asked.json["rid"]
        self.aborts.append(rid)
        if self.hang_abort:
            await anyio.sleep_forever()
        for generation in self.generations:
            if generation.rid.startswith(rid):
                generation.abort()
        await exchange.respond(200)

    async def _native(self, exchange: Exchange) -> None:
        body = exchange.asked.json
        ask = native.ask_of(body, self.speaker, self.speaker.script(self.serving.default))
        streamed = bool(body.get("stream"))
        refusal = self._refusal(ask)
        if refusal is not None:
            said = native.refused(refusal, streamed=streamed)
            acts = Answer(native.NativeWire(), streamed, (said,)).acts() if streamed else [Whole(400, dumped(said))]
            for act in acts:
                await play(exchange, act)
            return None
        generation = self._take(exchange, body, ask, str(body.get("rid") or len(self.generations)), streamed)
        wire = native.NativeWire(self.serving.incremental, self.serving.metrics)
        payloads = wire.payloads(self._steps(generation), ask, generation.cached, generation.rid, streamed=streamed)
        return await self._answer(exchange, generation, Answer(wire, streamed, tuple(payloads)))

    async def _openai(self, exchange: Exchange, *, chat: bool) -> None:
        serving, body = self.serving, exchange.asked.json
        if serving.profile.checks_model and body.get("model") != serving.model:
            missing = f"The model `{body.get('model')}` does not exist."
            return await exchange.respond(404, openai.refused(missing, "NotFoundError", 404))
        prompt = self._prompt(body, chat=chat)
        if isinstance(prompt, str):
            return await exchange.respond(422, openai.refused(prompt, "Input validation error", 422))
        ask = openai.ask_of(body, serving.profile, self.speaker, prompt, self.speaker.script(serving.default))
        refusal = self._refusal(ask) or ("max_tokens must be positive" if ask.limit < 1 and not chat else None)
        if refusal is not None:
            return await exchange.respond(400, openai.refused(refusal))
        streamed = bool(body.get("stream"))
        generation = self._take(exchange, body, ask, f"cmpl-{len(self.generations)}", streamed)
        options: Json = body.get("stream_options") or {}
        wire = openai.OpenAIWire(serving.profile, "chat" if chat else "text", str(body["model"]), self.speaker.end)
        cached = generation.cached if serving.cache_report else 0
        steps = self._steps(generation)
        payloads = wire.payloads(
            steps, ask, cached, generation.rid, streamed=streamed, usage=bool(options.get("include_usage"))
        )
        return await self._answer(exchange, generation, Answer(wire, streamed, tuple(payloads)))

    def _prompt(self, body: Json, *, chat: bool) -> Sequence[int] | str:
        """The prompt's ids, or why there are none."""
        if chat:
            return self.speaker.chat(body)
        prompt = cast("str | list[int] | list[list[int]]", body["prompt"])
        if isinstance(prompt, str):
            return self.speaker.encode(prompt)
        if not self.serving.profile.ids:
            return "prompt: expected a string"
        return [token for part in prompt for token in ([part] if isinstance(part, int) else part)]

    def _refusal(self, ask: Ask) -> str | None:
        prompt, window = len(ask.prompt), self.serving.window
        if not prompt:
            return "input_ids cannot be empty."
        if prompt >= window:
            return f"The input ({prompt} tokens) is longer than the model's context length ({window} tokens)."
        if prompt + ask.limit > window:
            return (
                f"Requested token count exceeds the model's maximum context length of {window} tokens. You requested a"
                f" total of {prompt + ask.limit} tokens: {prompt} tokens from the input messages and {ask.limit} tokens"
                " for the completion. Please reduce the number of tokens in the input messages or the completion to"
                " fit within the limit."
            )
        return None

    def _take(self, exchange: Exchange, body: Json, ask: Ask, rid: str, streamed: bool) -> Generation:
        generation = Generation(exchange.asked, body, ask, rid, streamed, 1)
        generation.number += len(self.asked(generation.branch))
        generation.cached = self.cache.matched(ask.prompt)
        self.cache.add(ask.prompt)
        self.generations.append(generation)
        return generation

    def _steps(self, generation: Generation) -> list[Step]:
        return list(self.speaker.say(generation.ask))

    async def _answer(self, exchange: Exchange, generation: Generation, answer: Answer) -> None:
        fault = self._fault(generation) if self._fault else None
        acts = answer.acts() if fault is None else fault(answer)
        if fault is None:  # a server has evaluated an answer before the last of it is on the wire
            self.cache.add((*generation.ask.prompt, *self._steps(generation)[-1].ids[:-1]))
        try:
            with generation.answering:
                await self._play(exchange, acts, generation)
            if generation.aborted and not exchange.done:
                await _give_up(exchange, generation, answer)
        finally:
            generation.ended = True

    async def _play(self, exchange: Exchange, acts: Sequence[Act], generation: Generation) -> None:
        for act in acts:
            await play(exchange, act)
            if isinstance(act, Send):
                generation.sent = act.data
                await anyio.sleep(self.serving.pause)


async def _give_up(exchange: Exchange, generation: Generation, answer: Answer) -> None:
    """End an aborted answer, if it has not ended, as SGLang does: with what was said, and this finish."""
    said = next((p for p in answer.payloads if framed(p) == generation.sent), answer.payloads[0])
    given_up = answer.wire.finish(said, "abort")
    if not answer.streamed:
        return exchange.close() if exchange.begun else await exchange.respond(200, given_up)
    for act in (*(() if exchange.begun else (Head(),)), Send(framed(given_up)), Send(DONE), End()):
        await play(exchange, act)
    return None


@asynccontextmanager
async def serving(double: Double) -> AsyncGenerator[Double]:
    """This double, listening inside the block."""
    async with serve(double.http):
        yield double
