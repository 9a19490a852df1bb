"""From an open engine to its facts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from apr_agents.dialects import Dialect
from apr_agents.doctor.facts import DialectFacts, Facts, Process, Server
from apr_agents.doctor.probe import probe
from apr_agents.engines.base import Engine, Message
from apr_agents.errors import EngineError, UsageError

if TYPE_CHECKING:
    from apr_agents.engines.litellm.deployments import Deployment
    from apr_agents.engines.litellm.engine import LiteLLMEngine
    from apr_agents.engines.litellm.profiles import Profile
    from apr_agents.engines.llamacpp.engine import EmbeddedEngine
    from apr_agents.engines.sglang.engine import SGLangEngine
    from apr_agents.engines.sglang.server import ServerFacts

_TOLD = (
    "schedule_policy",
    "page_size",
    "incremental_streaming_output",
    "enable_metrics",
    "enable_cache_report",
    "disable_radix_cache",
    "strip_thinking_cache",
)
"""The settings of a server that matter here. Others may be secret: servers tell their keys."""


async def examine(engine: Engine, spec: str, dialect: Dialect) -> Facts:
    """What is known of this open engine; sends it a few requests for one token.

    Raises EngineError when it cannot serve them, UsageError for a kind of engine that is not known here.
    """
    kind = spec.partition(":")[0]
    if kind == "embedded":
        return await _embedded(engine, spec, dialect)
    if kind == "sglang":
        return await _sglang(engine, spec, dialect)
    if kind == "litellm":
        return await _litellm(engine, spec, dialect)
    raise UsageError(f"engine {spec!r}: there is embedded, sglang, litellm")


async def _embedded(engine: Engine, spec: str, dialect: Dialect) -> Facts:
    from apr_agents.engines.llamacpp.server import threads_for

    settings = cast("EmbeddedEngine", engine).settings
    return Facts(
        spec=spec,
        info=engine.info,
        wire="process",
        ids="the model file's own vocabulary",
        template=_template(engine),
        dialect=_dialect(engine, dialect),
        probe=await probe(engine),
        process=Process(
            file=str(settings.path),
            threads=settings.threads or threads_for(settings.path.stat().st_size),
            cache_tokens=settings.cells or engine.info.window or 0,
            sequences=settings.sequences,
            exact=settings.exact,
        ),
    )


async def _sglang(engine: Engine, spec: str, dialect: Dialect) -> Facts:
    from apr_agents.engines.sglang.tokens import LocalTokens

    native = cast("SGLangEngine", engine)
    told, tokens = native.facts, native.tokens
    return Facts(
        spec=spec,
        info=engine.info,
        wire="native",
        ids=(
            f"{tokens.tokenizer.file}, compared with the server's"
            if isinstance(tokens, LocalTokens)
            else "asked from the server, a round trip for each new text; spare them with option tokenizer=FOLDER"
        ),
        template=_template(engine),
        dialect=_dialect(engine, dialect),
        probe=await probe(engine, routed=told.router),
        server=_server(told),
    )


async def _litellm(engine: Engine, spec: str, dialect: Dialect) -> Facts:
    opened = cast("LiteLLMEngine", engine).opened
    if opened.native is not None:
        return replace(await _sglang(opened.native, spec, dialect), info=engine.info)
    found = [await _behind(one) for one in opened.way.deployments if one.kind != "plain"]
    return Facts(
        spec=spec,
        info=engine.info,
        wire="text" if opened.kind == "text" else "chat",
        ids="none: text goes out, and the server encodes all of it again for each request",
        template=_template(engine),
        dialect=_dialect(engine, dialect),
        probe=await probe(engine),
        shows_special=opened.model.known and all(profile.show for profile, _ in found),
        server=next((server for _, server in found if server is not None), None),
    )


async def _behind(deployment: Deployment) -> tuple[Profile, Server | None]:
    """What kind of server serves this deployment, and its facts where it is one of SGLang's."""
    from apr_agents.engines.litellm import deployments, profiles
    from apr_agents.engines.sglang import server
    from apr_agents.engines.sglang.client import Address, Client

    async with Client(Address(deployment.origin, deployment.key)) as client:
        served = await deployments.look(client, deployment.path)
        told: Server | None = None
        if served.profile is profiles.SGLANG:
            with suppress(EngineError):
                told = _server(await server.look(client))
    return served.profile, told


def _server(told: ServerFacts) -> Server:
    return Server(
        url=told.url,
        version=told.version,
        cache_tokens=told.cache_tokens,
        router=told.router,
        workers=len(told.workers),
        settings={name: told.settings[name] for name in _TOLD if name in told.settings},
        admin_key=bool(told.settings.get("admin_api_key")),
    )


def _template(engine: Engine) -> str | None:
    """Why no prompt can be made; None: it can."""
    try:
        engine.prompt((Message("user", "1"),), {})
    except EngineError as error:
        return str(error)
    return None


def _dialect(engine: Engine, dialect: Dialect) -> DialectFacts:
    tags = [tag.replace("{n}", "1") for tag in dialect.tags.roles()]
    ids = {tag: engine.encode(tag, control=True) for tag in tags}
    counts = {tag: None if tokens is None else len(tokens) for tag, tokens in ids.items()}
    return DialectFacts(dialect.name, dialect.name in engine.info.dialects, counts)
