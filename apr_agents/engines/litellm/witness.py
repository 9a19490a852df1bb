"""The HTTP client that LiteLLM is given for servers of the OpenAI wire: it sees every byte, and LiteLLM the outcome.

LiteLLM asks for a plain answer. On the wire it is a stream, which is read strictly and given to whoever waits for it
chunk by chunk; LiteLLM gets all of it at its end, or an error of HTTP that it knows what to do with.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from apr_agents.engines.base import Request
from apr_agents.engines.litellm.call import HEADER, Call, Calls
from apr_agents.engines.litellm.deployments import Deployment, Served, look
from apr_agents.engines.litellm.faults import status_of, words_of
from apr_agents.engines.litellm.profiles import Profile, asked
from apr_agents.engines.litellm.prompts import chat_of
from apr_agents.engines.litellm.wire import Answer, whole
from apr_agents.engines.sglang.client import ROUTING_KEY, Client
from apr_agents.engines.sse import EventReader
from apr_agents.errors import EngineError, StreamFault

_DROPPED = frozenset((HEADER, "host", "content-length", "accept-encoding", "connection", "transfer-encoding"))

Extend = Callable[[Request], Mapping[str, object]]
"""More fields for the body of a request."""


@dataclass(frozen=True, slots=True)
class Manner:
    """What the user chose for all servers."""

    wire: Profile | None = None
    """None: what the server says it is."""
    shown: bool = False
    """Whether special tokens are shown in texts."""
    ends: tuple[str, ...] = ()
    """How the model's own end of text is written where they are."""
    extend: Extend | None = None


class Witness(httpx.AsyncBaseTransport):
    """One deployment's transport. Its mutable state is what it learnt of the server."""

    def __init__(self, deployment: Deployment, client: Client, calls: Calls, manner: Manner) -> None:
        self._deployment = deployment
        self._client = client
        self._calls = calls
        self._manner = manner
        self._served: Served | None = None

    async def served(self) -> Served:
        """What the server is. Raises EngineUnavailable when it cannot be reached; then it is asked again next time."""
        if self._served is None:
            self._served = await look(self._client, self._deployment.path, wire=self._manner.wire)
        return self._served

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = self._calls.find(request.headers.get(HEADER))
        if call is None:
            raise httpx.ConnectError("this client serves runs of apr-agents only", request=request)
        try:
            call.start(self._deployment.origin)
            content = await self._answered(call, request)
        except EngineError as error:
            origin, words = self._deployment.origin, str(error)
            error.args = (words if words.startswith(origin) else f"{origin}: {words}",)
            call.fail(error)
            return _refused(error, request)
        return httpx.Response(200, json=content, request=request)

    async def _answered(self, call: Call, request: httpx.Request) -> dict[str, object]:
        kind = _kind(request.url.path)
        if kind != self._deployment.kind:
            path = request.url.path
            raise EngineError(f"{self._deployment.model}: LiteLLM went to {path}, which is not the wire of this engine")
        served = await self.served()
        given: dict[str, Any] = json.loads(await request.aread())
        manner = self._manner
        body = {**given, **self._body(call, served.profile)}
        answer = Answer(call.request, served.profile, manner.ends if manner.shown else (), zero=served.zero)
        try:
            async with self._sent(call, request, body) as response:
                reason = await _read(call, answer, response)
        except EngineError as error:
            error.partial = answer.partial
            raise
        return whole(kind, self._deployment.name, answer, reason)

    def _body(self, call: Call, profile: Profile) -> dict[str, object]:
        """What the body says beside, and in place of, what LiteLLM put into it."""
        request, manner = call.request, self._manner
        body = asked(profile, request, shown=manner.shown)
        if self._deployment.kind == "chat":
            body |= {**chat_of(request.context, continues=profile.continues), **dict(profile.more)}
        else:
            body["prompt"] = request.context.text
        return {
            **body,
            "stream": True,
            "stream_options": {"include_usage": True},
            **(manner.extend(request) if manner.extend else {}),
        }

    @asynccontextmanager
    async def _sent(
        self, call: Call, request: httpx.Request, body: Mapping[str, object]
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """The bytes of the answer's stream. Leaving the block before their end closes the connection."""
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _DROPPED}
        if call.request.run_id:
            headers[ROUTING_KEY] = call.request.run_id
        timeout: dict[str, float | None] = request.extensions.get("timeout") or {}
        path = request.url.raw_path.decode()
        async with self._client.send("POST", path, body, headers=headers, seconds=timeout.get("read")) as response:
            if response.content_type != "text/event-stream":
                begun = " ".join((await response.content.read(200)).decode("utf-8", "replace").split())
                raise StreamFault("foreign", f"the answer is {response.content_type}, no event stream: {begun[:80]!r}")
            yield response.content.iter_any()


async def _read(call: Call, answer: Answer, pieces: AsyncIterator[bytes]) -> str:
    """Read an answer, give its chunks to whoever waits for them, and say why it ended. Raises StreamFault."""
    reader, reason = EventReader(), ""
    async for piece in pieces:
        for data in reader.feed(piece):
            chunk = answer.event(data)
            call.begun = call.begun or answer.events > 0
            if chunk is None:
                continue
            await call.put(chunk)
            reason = chunk.finish.reason if chunk.finish else ""
            if answer.over:
                return reason
    answer.close()
    return reason


def _kind(path: str) -> Literal["text", "chat"]:
    return "chat" if path.endswith("/chat/completions") else "text"


def _refused(error: EngineError, request: httpx.Request) -> httpx.Response:
    """This error as an answer of HTTP, by which LiteLLM knows whether another deployment may do better."""
    status = status_of(error)
    headers = {} if error.wait is None else {"retry-after": f"{error.wait:g}"}
    content = {"error": {"message": words_of(error), "type": "apr", "code": status}}
    return httpx.Response(status, json=content, headers=headers, request=request)
