"""From a model's name to what an engine over LiteLLM needs to serve requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from apr_agents.context import Context
from apr_agents.engines.base import EngineInfo, Message
from apr_agents.engines.litellm.call import Calls
from apr_agents.engines.litellm.clients import Witnesses
from apr_agents.engines.litellm.config import read_config, router_arguments
from apr_agents.engines.litellm.deployments import Deployment, Served
from apr_agents.engines.litellm.loading import Foreign, load
from apr_agents.engines.litellm.profiles import Profile
from apr_agents.engines.litellm.room import Room
from apr_agents.engines.litellm.speech import Files, Model, chat_prompt, read_model, text_prompt
from apr_agents.engines.litellm.ways import Direct, Routed, Way
from apr_agents.engines.litellm.witness import Extend, Manner
from apr_agents.engines.sglang.engine import SGLangEngine
from apr_agents.errors import EngineError, EngineUnavailable, UsageError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for."""

    model: str
    params: Mapping[str, Any]
    router: str | Path | Mapping[str, Any] | None
    files: Files
    wire: Profile | None
    extend: Extend | None

    def __repr__(self) -> str:
        return f"Wanted({self.model!r})"


@dataclass(frozen=True, slots=True)
class Opened:
    """What there is while the engine is open."""

    litellm: Foreign
    way: Way
    calls: Calls
    kind: Literal["text", "chat", "native"]
    """What its contexts are."""
    model: Model
    room: Room
    info: EngineInfo
    natives: Mapping[str, SGLangEngine]
    """By address, the engines of native deployments."""
    stack: AsyncExitStack
    """Closes what was opened."""

    @property
    def native(self) -> SGLangEngine | None:
        return next(iter(self.natives.values()), None)

    @property
    def secrets(self) -> tuple[str | None, ...]:
        """The keys, which no error may hold."""
        return tuple(one.key for one in self.way.deployments)

    def prompt(self, messages: Sequence[Message], variables: Mapping[str, str]) -> Context:
        if self.native is not None:
            return self.native.prompt(messages, variables)
        if self.kind == "chat":
            return chat_prompt(messages, variables)
        return text_prompt(self.model, self.info.name, messages, variables)

    def is_plain(self, response: Foreign) -> bool:
        """Whether this answer came from a provider whose wire is not known."""
        said: Mapping[str, Any] = getattr(response, "_hidden_params", None) or {}
        name = said.get("model_id")
        found = [one for one in self.way.deployments if one.id == name] or list(self.way.deployments)
        return all(one.kind == "plain" for one in found)


async def open_litellm(wanted: Wanted) -> Opened:
    """Raises UsageError for a model or a configuration that cannot be meant, EngineUnavailable when no server of it
    can be reached or serves the model."""
    litellm, model = load(), read_model(wanted.files)
    calls = _register()
    async with AsyncExitStack() as stack:
        manner = Manner(wanted.wire, model.known, model.ends, wanted.extend)
        witnesses = Witnesses(calls, manner, stack)
        way = _way(litellm, wanted, witnesses)
        stack.callback(way.close)
        kind = _kind_of(wanted.model, way.deployments)
        info = EngineInfo(f"litellm:{wanted.model}", None, model.dialects)
        natives: dict[str, SGLangEngine] = {}
        room = Room(None, None, chat=False)
        if kind == "native":
            natives = await _natives(wanted, way.deployments, stack)
            info = replace(next(iter(natives.values())).info, name=info.name)
        else:
            served = await _served(way.deployments, witnesses)
            window = min((one.window for one in served if one.window), default=None)
            window, most = (window, None) if window else _listed(litellm, way.deployments)
            info = replace(info, window=window)
            continues = all(one.profile.continues for one in served)
            room = Room(window, model.tokenizer, chat=kind == "chat", continues=continues, most=most)
        return Opened(litellm, way, calls, kind, model, room, info, natives, stack.pop_all())
    raise AssertionError  # the stack swallows nothing


def _register() -> Calls:
    from apr_agents.engines.litellm.provider import register

    return register().calls


def _way(litellm: Foreign, wanted: Wanted, witnesses: Witnesses) -> Way:
    if wanted.router is None:
        return Direct(litellm, wanted.model, wanted.params, witnesses.client)
    given = [name for name, value in wanted.params.items() if value]
    if given:
        raise UsageError(f"engine option {given[0]}: with router=, each deployment has its own in the configuration")
    content = wanted.router
    arguments = (
        router_arguments(content, "router") if isinstance(content, Mapping) else read_config(Path(content).expanduser())
    )
    return Routed(litellm, wanted.model, arguments, witnesses.client)


def _kind_of(model: str, deployments: Sequence[Deployment]) -> Literal["text", "chat", "native"]:
    """What the contexts of all these deployments are. Raises UsageError where they differ."""
    found = {"chat" if one.kind == "plain" else one.kind for one in deployments}
    if found == {"native"}:
        return "native"
    if found == {"text"}:
        return "text"
    if found == {"chat"}:
        return "chat"
    raise UsageError(
        f"litellm:{model}: its deployments mix {' and '.join(sorted(found))}; a run needs one kind of them"
    )


async def _natives(wanted: Wanted, deployments: Sequence[Deployment], stack: AsyncExitStack) -> dict[str, SGLangEngine]:
    """The engines of the deployments that can be reached, of which there must be one at least."""
    files, found = wanted.files, dict[str, SGLangEngine]()
    missing: list[EngineError] = []
    for one in deployments:
        engine = SGLangEngine(
            one.base or "",
            tokenizer=files.tokenizer,
            chat_template=files.chat_template,
            dialects=files.dialects,
            api_key=one.key,
            extend=wanted.extend,
        )
        try:
            await stack.enter_async_context(engine)
        except EngineUnavailable as error:
            missing.append(error)
            continue
        if one.name not in (engine.facts.model, engine.facts.model_path):
            raise EngineUnavailable(f"{one.base} serves {engine.facts.model}, not {one.name}; name the model so")
        found[one.base or ""] = engine
    if not found:
        raise missing[0]
    return found


async def _served(deployments: Sequence[Deployment], witnesses: Witnesses) -> list[Served]:
    """What the servers say that can be reached. Raises EngineUnavailable where none can, or one lacks its model."""
    found: list[Served] = []
    missing: list[EngineError] = []
    known = [one for one in deployments if one.kind != "plain"]
    for one in known:
        witness = await witnesses.open(one)
        try:
            served = await witness.served()
        except EngineUnavailable as error:
            missing.append(error)
            continue
        if served.names and one.name not in served.names:
            names = ", ".join(served.names[:5])
            raise EngineUnavailable(f"{one.base} does not serve {one.name!r}: it has {names}; name one of these")
        found.append(served)
    if known and not found:
        raise missing[0]
    return found


def _listed(litellm: Foreign, deployments: Sequence[Deployment]) -> tuple[int | None, int | None]:
    """The window and the longest answer of models whose servers do not tell, as LiteLLM has them in its list; None:
    it does not have them."""
    known = [_limits(litellm, one) for one in deployments]
    windows, answers = ([limits[n] for limits in known if limits[n]] for n in (0, 1))
    return min(windows, default=None), min(answers, default=None)


def _limits(litellm: Foreign, deployment: Deployment) -> tuple[int, int]:
    try:
        listed: Mapping[str, Any] = litellm.get_model_info(model=deployment.model)
    except Exception:  # LiteLLM raises a plain Exception for a model that it has not in its list
        return 0, 0
    return int(listed.get("max_input_tokens") or 0), int(listed.get("max_output_tokens") or 0)
