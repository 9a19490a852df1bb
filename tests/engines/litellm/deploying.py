"""Routers' configurations over servers of ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from tests.support.scripts import block
from tests.support.servers.double import Double, serving

DEPLOYED = Path(__file__).parents[3] / "integrations" / "litellm"
QUESTION = "Numbers: 26 45 27 21 Target: 18"
SAYS = " half a thought</Thread>"
"""Of each branch."""


def deployed() -> dict[str, Any]:
    """The configuration that operators are given."""
    return yaml.safe_load((DEPLOYED / "config.yaml").read_text(encoding="utf-8"))


def at(config: Mapping[str, Any], urls: Sequence[str]) -> dict[str, Any]:
    """This configuration with other addresses, in the order of its deployments."""
    moved = deepcopy(dict(config))
    for entry, url in zip(moved["model_list"], urls, strict=True):
        params = entry["litellm_params"]
        params["api_base"] = url if params["model"].startswith("apr-sglang/") else f"{url}/v1"
    return moved


def script(branches: int) -> dict[str, str | Sequence[str]]:
    """A run that forks once into so many branches."""
    said = {f"1.{number}": SAYS for number in range(1, branches + 1)}
    return {"": (block(*["a"] * branches), " all seen"), **said}


@asynccontextmanager
async def doubles(*made: Double) -> AsyncGenerator[list[str]]:
    """These servers, listening inside the block, and their addresses."""
    async with AsyncExitStack() as stack:
        for double in made:
            await stack.enter_async_context(serving(double))
        yield [double.url for double in made]


def runs_at(double: Double) -> list[str]:
    """The id of the run to which each request belongs that this server took."""
    return [generation.asked.headers["x-smg-routing-key"] for generation in double.generations]
