"""SGLang's native `/generate`: what a request says, and how its answer is read, strictly. Pure but for `Answer`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from apr_agents.engines.base import Chunk, Finish, Request, Sampling, Timings, Usage
from apr_agents.errors import ContextFull, EngineError, RequestRefused, StreamFault

DONE = b"[DONE]"
"""The data of the event behind the last one."""
UNWATCHED = 32
"""Tokens of an event where nobody waits for each: what an answer that is cut short loses at most.

So a stream costs client and server what a plain answer costs, a fifth to a seventh of one token an event (measured with
SGLang 0.5.21, 32 answers of 100 tokens at once).
"""
_TOO_LONG = ("context length", "longer than the model", "too long", "exceeds the maximum allowed length")


@dataclass(frozen=True, slots=True)
class Stops:
    """A request's stops as the server takes them: by id where a stop is one token, which is exact, else by text."""

    ids: Mapping[int, str | None]
    """With the text of each; None where the request gave the id only."""
    texts: tuple[str, ...]


def stops_of(request: Request, encode: Callable[[str], tuple[int, ...]]) -> Stops:
    """The stops of this request; `encode` makes control tokens of control tags."""
    ids: dict[int, str | None] = dict.fromkeys(request.stop_ids)
    texts: list[str] = []
    for stop in request.stops:
        tokens = encode(stop)
        if len(tokens) == 1:
            ids[tokens[0]] = stop
        else:
            texts.append(stop)
    return Stops(ids, tuple(texts))


def body_of(
    request: Request, stops: Stops, rid: str, *, stream: bool, more: Mapping[str, object] | None = None
) -> dict[str, object]:
    """The body of a POST to `/generate`. `more`: further fields; its `sampling_params` are put among ours."""
    params: dict[str, object] = {
        "max_new_tokens": request.max_tokens,
        **_sampling(request.sampling),
        # Tags are special tokens, and what ended a text belongs to it.
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "no_stop_trim": True,
    }
    if stream and not request.watched:
        params["stream_interval"] = UNWATCHED
    if stops.ids:
        params["stop_token_ids"] = list(stops.ids)
    if stops.texts:
        params["stop"] = list(stops.texts)
    extra = dict(more or {})
    params.update(cast("dict[str, object]", extra.pop("sampling_params", {})))
    return {"input_ids": list(request.context.ids), "sampling_params": params, "stream": stream, "rid": rid, **extra}


def _sampling(sampling: Sampling) -> dict[str, object]:
    if sampling.temperature == 0:
        return {"temperature": 0.0}
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k or -1,
        "sampling_seed": sampling.seed & 0x7FFFFFFF,
    }


class Answer:
    """One answer as it comes. Complete is: a finish of stop or length, and then the end marker, and nothing between.

    Its mutable state is what has come. Events may bring all text so far, or only what is new: their counts tell which.
    """

    def __init__(self, stops: Stops, decode: Callable[[tuple[int, ...]], str]) -> None:
        """`decode`: the text of tokens, to know what the server cut off, and what is the model's own end of text."""
        self._stops = stops
        self._decode = decode
        self._texts: list[str] = []
        self._ids: list[int] = []
        self._seen = 0
        self._count = 0
        self._tags = [text for text in stops.ids.values() if text]
        self._reach = max(map(len, self._tags), default=1)
        self._tail = ""
        self._last: Chunk | None = None
        self._ended = False

    @property
    def text(self) -> str:
        """What has come so far."""
        return "".join(self._texts)

    @property
    def count(self) -> int:
        """Tokens that have come so far."""
        return self._count

    @property
    def complete(self) -> bool:
        return self._ended

    def event(self, data: bytes) -> Chunk | None:
        """The chunk that an event brings, None for none; the last one comes with the end marker.

        Where the model spelled a stop out, it comes at once: the server, which stops at ids, would go on for ever.
        Raises StreamFault.
        """
        if self._ended:
            raise StreamFault("late", "an event came behind the end of the stream")
        if data == DONE:
            if self._last is None:
                raise StreamFault("cut", "the stream ended without a finish")
            self._ended = True
            return self._last
        if self._last is not None:
            raise StreamFault("late", "an event came behind the finish")
        chunk, spelled = self._read(data)
        if chunk.finish is not None:
            self._last = chunk
            return chunk if spelled else None
        return chunk if chunk.ids or chunk.text else None

    def whole(self, data: bytes) -> Chunk:
        """The one chunk of an answer that was not streamed. Raises StreamFault."""
        chunk, _ = self._read(data)
        if chunk.finish is None:
            raise StreamFault("malformed", "the answer has no finish reason")
        self._ended = True
        return chunk

    def close(self) -> None:
        """The connection ended. Raises StreamFault when the answer had not."""
        if not self._ended:
            raise StreamFault("cut", f"the stream was cut after {self._count} tokens")

    def _read(self, data: bytes) -> tuple[Chunk, bool]:
        """What an event brings, and whether a stop that is spelled out ends it."""
        try:
            payload = json.loads(data.decode())
            if "error" in payload:
                raise _given_up(payload["error"], self._count)
            meta = payload["meta_info"]
            finish = meta["finish_reason"]
            ids, text = self._new(payload["output_ids"], payload["text"], meta["completion_tokens"])
            chunk = Chunk(text, ids) if finish is None else self._finished(ids, text, finish, meta)
            spelled = self._spelled(chunk, meta) if self._tags and chunk.text else None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StreamFault("malformed", f"an event is not one of /generate: {_shown(data)}") from error
        chunk = spelled or chunk
        self._texts.append(chunk.text)
        self._tail = (self._tail + chunk.text)[-self._reach :]
        self._ids.extend(chunk.ids or ())
        return chunk, spelled is not None

    def _new(self, ids: list[int], text: str, total: int) -> tuple[tuple[int, ...], str]:
        """What is new in an event that counts `total` tokens."""
        fresh = total - self._count
        if len(ids) == total and (self._count or len(ids)):
            new, added = ids[self._count :], text[self._seen :] if self._count else text
            self._seen = len(text)
        elif len(ids) == fresh:
            new, added = ids, text
        else:
            raise StreamFault("malformed", f"an event has {len(ids)} ids and counts {total}, after {self._count}")
        if fresh < 0:
            raise StreamFault("malformed", f"an event counts {total} tokens, after {self._count}")
        if not added.isascii():
            added.encode()  # a lone surrogate is no text
        self._count = total
        return tuple(new), added

    def _finished(self, ids: tuple[int, ...], text: str, finish: dict[str, Any], meta: dict[str, Any]) -> Chunk:
        kind, matched = finish["type"], finish.get("matched")
        if kind == "abort":
            raise _given_up(finish, self._count - len(ids))
        if kind not in ("stop", "length"):
            raise StreamFault("malformed", f"the finish reason {str(kind)[:40]!r} is not one of /generate")
        if isinstance(matched, str):
            text += self._cut_off(ids, text)
        elif matched is not None:
            own = matched not in self._stops.ids
            if own:
                text = text.removesuffix(self._decode((matched,)))
            matched = None if own else self._stops.ids[matched]
        reason: Literal["stop", "length"] = kind
        usage = Usage(meta["prompt_tokens"], meta.get("cached_tokens"), meta["completion_tokens"])
        return Chunk(text, ids, Finish(reason, matched, usage, _timings(meta)))

    def _spelled(self, chunk: Chunk, meta: Mapping[str, Any]) -> Chunk | None:
        """This chunk up to the token that completes a stop in the text without being its id; None without one."""
        text = self._tail + chunk.text
        hits = [(text.index(tag) + len(tag), tag) for tag in self._tags if tag in text]
        if not hits:
            return None
        end, tag = min(hits)
        if chunk.finish is not None and chunk.finish.matched == tag and end == len(text):
            return None
        so_far, rest, start = list(self._ids), list(chunk.ids or ()), len(self.text)
        whole = self._decode(tuple(so_far))
        while rest and tag not in whole[max(0, start - self._reach) :]:
            so_far.append(rest.pop(0))
            whole = self._decode(tuple(so_far))
        ids = tuple(so_far[len(self._ids) :])
        usage = Usage(meta["prompt_tokens"], meta.get("cached_tokens"), len(so_far))
        return Chunk(whole[start:], ids, Finish("stop", tag, usage, _timings(meta)))

    def _cut_off(self, ids: tuple[int, ...], text: str) -> str:
        """What stands behind a stop in the token in which it ends: the server leaves it out, the token is whole."""
        whole, shown = self._decode((*self._ids, *ids)), self.text + text
        return whole[len(shown) :] if whole.startswith(shown) else ""


def is_too_long(message: str) -> bool:
    """Whether a server says by this that a context does not fit its window."""
    return any(words in message.lower() for words in _TOO_LONG)


def _given_up(said: object, count: int) -> EngineError:
    """The error of a server that gave up; worth another try where it was too busy to begin. Asked for a stream, a
    server refuses with status 200 and an event, too."""
    fields = cast("dict[str, object]", said) if isinstance(said, dict) else {"message": said}
    message = " ".join(str(fields.get("message") or "no reason given").split())[:300]
    code = fields.get("status_code", fields.get("code"))
    if code == 400 and not count:
        if is_too_long(message):
            return ContextFull(f"{message}; shorten the prompt or lower max_tokens")
        return RequestRefused(400, f"status 400: {message}")
    busy = code in (429, 503)
    return StreamFault("aborted", f"the server gave up: {message}", again=busy and not count)


def _timings(meta: Mapping[str, Any]) -> Timings:
    """Seconds of each phase; a server without --enable-metrics tells none."""
    begun, filled = meta.get("forward_entry_time"), meta.get("prefill_finished_time")
    ended = meta.get("request_finished_ts")
    return Timings(
        queue=meta.get("queue_time"),
        prefill=None if begun is None or filled is None else max(0.0, filled - begun),
        decode=None if filled is None or ended is None else max(0.0, ended - filled),
    )


def _shown(data: bytes) -> str:
    return repr(data[:80].decode("utf-8", "replace"))
