"""An engine from a text such as `embedded:FILE.gguf` or `sglang:URL`, and options such as `threads=2`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from apr_agents.engines.base import Engine
from apr_agents.errors import UsageError


def open_engine(spec: str = "embedded", options: Mapping[str, str] | None = None) -> Engine:
    """The engine that `spec` names, to be opened with `async with`.

    `embedded`: the shipped model; `embedded:NAME`: a shipped model by its name; `embedded:FILE.gguf`: any GGUF file.
    `sglang:URL`: a SGLang server, or a router in front of several.
    `litellm:MODEL`: a model as LiteLLM names it, or with option router=FILE.yaml a model of that configuration's.

    Raises UsageError for a spec or an option that there is not; loads nothing yet.
    """
    kind, _, rest = spec.partition(":")
    makers: dict[str, Callable[[str, Mapping[str, str]], Engine]] = {
        "embedded": _embedded,
        "sglang": _sglang,
        "litellm": _litellm,
    }
    if kind not in makers:
        raise UsageError(f"engine {spec!r}: there is {', '.join(makers)}; such as embedded:FILE.gguf")
    return makers[kind](rest, options or {})


def _embedded(file: str, options: Mapping[str, str]) -> Engine:
    from apr_agents.engines.llamacpp.engine import EmbeddedEngine

    known = ("context_tokens", "sequences", "threads", "batch", "exact")
    path = _model(file) if file else None
    return EmbeddedEngine(path, **{name: _whole(name, value) for name, value in _known(options, known).items()})


def _sglang(url: str, options: Mapping[str, str]) -> Engine:
    try:
        from apr_agents.engines.sglang.engine import SGLangEngine
    except ImportError as error:
        raise UsageError(f"engine sglang:{url} needs package {error.name}: pip install 'apr-agents[sglang]'") from error

    given = _known(options, ("tokenizer", "chat_template", "dialects", "api_key"))
    dialects = given["dialects"].replace(",", " ").split() if "dialects" in given else None
    return SGLangEngine(
        url,
        tokenizer=given.get("tokenizer"),
        chat_template=given.get("chat_template"),
        dialects=dialects,
        api_key=given.get("api_key") or os.environ.get("SGLANG_API_KEY"),
    )


def _litellm(model: str, options: Mapping[str, str]) -> Engine:
    try:
        from apr_agents.engines.litellm.engine import LiteLLMEngine
    except ImportError as error:
        raise UsageError(
            f"engine litellm:{model} needs package {error.name}: pip install 'apr-agents[litellm]'"
        ) from error

    known = ("api_base", "api_key", "tokenizer", "chat_template", "dialects", "router", "wire")
    given: dict[str, Any] = {**_known(options, known)}
    if "dialects" in given:
        given["dialects"] = given["dialects"].replace(",", " ").split()
    return LiteLLMEngine(model, **given)


def _model(name: str) -> Path:
    """A file, or a shipped model where it can be no file's name."""
    from apr_agents import models

    is_file = name.endswith(".gguf") or "/" in name or Path(name).exists()
    return Path(name).expanduser() if is_file else models.path(name)


def _known(options: Mapping[str, str], known: tuple[str, ...]) -> Mapping[str, str]:
    for name in options:
        if name not in known:
            raise UsageError(f"engine option {name!r}: there is {', '.join(known)}")
    return options


def _whole(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise UsageError(f"engine option {name}={value}: a whole number is needed") from None
