"""From an address to a server whose ids are known to be ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import anyio.to_thread

from apr_agents.engines.base import EngineInfo
from apr_agents.engines.sglang.client import Client
from apr_agents.engines.sglang.server import ServerFacts, look
from apr_agents.engines.sglang.tokens import LocalTokens, RemoteTokens, Tokens, model_folder
from apr_agents.engines.tokenizer import ChatFormat, Tokenizer, chat_format, find_tokenizer, read_text
from apr_agents.errors import EngineUnavailable

SAMPLE = "Plan 12:\n\t3 + 4 = 7, naïve 漢字 🙂 'x' </s> <Parallel>\n<Thread>1: go on\n</Thread></Parallel>  end"
"""A text that tokenizers take apart differently."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What the user says of a server's model; None: as the server and its folder say."""

    tokenizer: str | Path | None = None
    chat_template: str | Path | None = None
    dialects: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """A server that is open for requests."""

    client: Client
    facts: ServerFacts
    tokens: Tokens
    ids: int | None
    """How many ids the model knows: one beyond ends the server. None: unknown."""
    info: EngineInfo


async def connect(client: Client, files: ModelFiles) -> Connected:
    """The server behind this open client. Raises EngineUnavailable when it is none, or its tokenizer another one."""
    facts = await look(client)
    path = await anyio.to_thread.run_sync(model_folder, files.tokenizer, facts.tokenizer_path)
    config = _config(path)
    tokens: Tokens
    ids: int | None = None
    if path is None:
        prefix = "/v1" if facts.router else ""
        tokens = RemoteTokens(client.address, facts.model, prefix=prefix, form=_form(files, None))
    else:
        tokens = await anyio.to_thread.run_sync(_local, path, files)
        await _compare(client, facts, tokens.tokenizer)
        ids = max(tokens.tokenizer.size, int(config.get("vocab_size") or 0))
    trained = str(config.get("apr_dialect") or "").replace(",", " ").split()
    info = EngineInfo(
        name=f"sglang:{facts.model}",
        window=facts.window,
        dialects=tuple(trained if files.dialects is None else files.dialects),
        page=facts.page,
        warms=True,
    )
    return Connected(client, facts, tokens, ids, info)


def _local(path: Path, files: ModelFiles) -> LocalTokens:
    file = find_tokenizer(path)
    return LocalTokens(Tokenizer(file), _form(files, chat_format(file.parent)))


def _form(files: ModelFiles, own: ChatFormat | None) -> ChatFormat | None:
    """The chat template given in place of the model's own, else that."""
    if files.chat_template is None:
        return own
    template = read_text(Path(files.chat_template).expanduser())
    return ChatFormat(template, own.variables if own else {})


async def _compare(client: Client, facts: ServerFacts, tokenizer: Tokenizer) -> None:
    """Raises EngineUnavailable when this tokenizer and the server's give other ids: nothing would be exact."""
    sample = SAMPLE + "".join(list(tokenizer.controls)[:64])
    asked = {"model": facts.model, "prompt": sample, "add_special_tokens": False}
    told = await client.ask("/tokenize", asked) or await client.ask("/v1/tokenize", asked)
    if told is not None and tuple(cast("list[int]", told.get("tokens"))) != tokenizer.sample(sample):
        raise EngineUnavailable(
            f"{client.address.url} serves {facts.model} with another tokenizer than {tokenizer.file}; "
            "give that model's own as option tokenizer=FOLDER"
        )


def _config(path: Path | None) -> dict[str, Any]:
    """The model's own `config.json` beside its tokenizer; empty where there is none."""
    if path is None:
        return {}
    file = (path if path.is_dir() else path.parent) / "config.json"
    try:
        return cast("dict[str, Any]", json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
