"""The connections of an engine over LiteLLM: one to each server, seen by LiteLLM as a client of its own kind."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import httpx

from apr_agents.engines.litellm.call import Calls
from apr_agents.engines.litellm.deployments import Deployment
from apr_agents.engines.litellm.loading import Foreign
from apr_agents.engines.litellm.witness import Manner, Witness
from apr_agents.engines.sglang.client import Address, Client


class Witnesses:
    """Its mutable state is the connections that were opened."""

    def __init__(self, calls: Calls, manner: Manner, stack: AsyncExitStack) -> None:
        self._calls = calls
        self._manner = manner
        self._stack = stack
        self._witnesses: dict[str, Witness] = {}
        self._clients: dict[str, Any] = {}

    async def open(self, deployment: Deployment) -> Witness:
        """Get ready for this deployment; nothing is sent yet."""
        client = await self._stack.enter_async_context(Client(Address(deployment.origin, deployment.key)))
        witness = Witness(deployment, client, self._calls, self._manner)
        self._witnesses[deployment.id] = witness
        self._clients[deployment.id] = await self._client(deployment, witness)
        return witness

    def client(self, deployment: Deployment) -> object:
        """What LiteLLM takes for its own client of this deployment; None where its own is used."""
        return self._clients.get(deployment.id)

    async def _client(self, deployment: Deployment, witness: Witness) -> Foreign:
        if deployment.sdk:
            from openai import AsyncOpenAI

            http = await self._stack.enter_async_context(httpx.AsyncClient(transport=witness, trust_env=False))
            key = deployment.key or "none"  # OpenAI's client refuses to be without one
            return AsyncOpenAI(api_key=key, base_url=deployment.base, http_client=http, max_retries=0)
        from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

        handler = AsyncHTTPHandler(transport=witness)
        self._stack.push_async_callback(handler.close)
        return handler
