"""The two ways through LiteLLM: straight to one deployment, or by a Router that chooses among several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Protocol

from apr_agents.engines.litellm.call import HEADER, Call
from apr_agents.engines.litellm.deployments import Deployment, deployment_of
from apr_agents.engines.litellm.loading import Foreign
from apr_agents.errors import UsageError

CONNECTED = 6000.0
"""Seconds that LiteLLM gives a request without a deadline; its own default."""

Clients = Callable[[Deployment], object]
"""The client by which LiteLLM is to reach a deployment; None: its own."""


class Way(Protocol):
    """How requests go to LiteLLM."""

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        """What they may reach."""
        ...

    async def ask(self, call: Call, fields: Mapping[str, object], seconds: float | None) -> Foreign:
        """LiteLLM's plain answer. Raises what LiteLLM raises."""
        ...

    def close(self) -> None: ...


class Direct:
    """One deployment. LiteLLM sends a request once."""

    def __init__(self, litellm: Foreign, model: str, params: Mapping[str, Any], clients: Clients) -> None:
        self._litellm = litellm
        self._params = {"model": model, **{key: value for key, value in params.items() if value}}
        self._deployment = deployment_of(litellm, self._params)
        self._clients = clients

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        return (self._deployment,)

    async def ask(self, call: Call, fields: Mapping[str, object], seconds: float | None) -> Foreign:
        return await self._litellm.acompletion(
            **{**self._params, **common(call, fields)},
            client=self._clients(self._deployment),
            timeout=seconds or CONNECTED,
            max_retries=0,
            num_retries=0,
        )

    def close(self) -> None:
        pass


class Routed:
    """A Router over the deployments of its configuration; its own retries, cooldowns and fallbacks apply."""

    def __init__(self, litellm: Foreign, model: str, arguments: Mapping[str, Any], clients: Clients) -> None:
        """Raises UsageError for a model that is no group of the configuration's."""
        self._model = model
        self._named: dict[str, Deployment] = {}
        self._router = _router(litellm, arguments, lambda name: self._client(name, clients))
        listed = [entry for entry in self._router.get_model_list() or () if entry["model_name"] in self._groups()]
        found = [deployment_of(litellm, entry["litellm_params"], entry["model_info"]["id"]) for entry in listed]
        self._named = {deployment.id: deployment for deployment in found}
        if not any(entry["model_name"] == model for entry in listed):
            self._router.discard()
            names = ", ".join(sorted(set(self._router.get_model_names())))
            raise UsageError(f"litellm:{model}: the Router's configuration has no such model_name; there is {names}")

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        return tuple(self._named.values())

    def _client(self, name: str, clients: Clients) -> object:
        """None for a deployment that this model's group does not reach: then LiteLLM's own serves, and is found out."""
        deployment = self._named.get(name)
        return None if deployment is None else clients(deployment)

    def _groups(self) -> set[str]:
        """The model's own group and those that may stand in for it."""
        groups = {self._model}
        for kind in (self._router.fallbacks, self._router.context_window_fallbacks):
            for rule in kind or ():
                for name, others in rule.items():
                    if name in (self._model, "*"):
                        groups |= {other for other in others if isinstance(other, str)}
        return groups

    async def ask(self, call: Call, fields: Mapping[str, object], seconds: float | None) -> Foreign:
        return await self._router.acompletion(model=self._model, **common(call, fields))

    def close(self) -> None:
        self._router.discard()


def common(call: Call, fields: Mapping[str, object]) -> dict[str, object]:
    """What LiteLLM is told of every request."""
    request = call.request
    chosen = request.sampling
    sampling = {"top_p": chosen.top_p, "seed": chosen.seed & 0x7FFFFFFF} if chosen.temperature else {}
    return {
        "max_tokens": request.max_tokens,
        "temperature": chosen.temperature,
        **sampling,
        **fields,
        "stream": False,
        "caching": False,
        "drop_params": True,
        "extra_headers": {HEADER: call.id},
        "metadata": {"session_id": request.run_id} if request.run_id else {},
    }


def _router(litellm: Foreign, arguments: Mapping[str, Any], client_of: Callable[[str], object]) -> Foreign:
    """A Router that reaches each deployment by the client that we have for it."""
    base: Any = litellm.Router

    class WitnessedRouter(base):
        def _get_client(self, deployment: Foreign, kwargs: Foreign, client_type: Foreign = None) -> Foreign:
            if client_type == "async":
                return client_of(deployment["model_info"]["id"])
            return base._get_client(self, deployment, kwargs, client_type)  # noqa: SLF001  # the one it stands before

    try:
        models = [deepcopy(model) for model in arguments["model_list"]]  # it takes them apart; YAML may share them
        return WitnessedRouter(**{**arguments, "model_list": models})
    except Exception as error:  # LiteLLM checks its settings in many ways
        said = " ".join(str(error).split())[:200]
        raise UsageError(f"the Router's configuration is refused by LiteLLM: {said}") from error
