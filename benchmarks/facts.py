"""What a benchmark was run on: its results are stored beside that."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("aiohttp", "anyio", "litellm", "tokenizers", "xllamacpp")


def facts() -> dict[str, object]:
    """Machine, versions and date."""
    return {"machine": machine(), "versions": versions(), "date": today()}


def today() -> str:
    """In UTC."""
    return datetime.now(UTC).date().isoformat()


def versions() -> dict[str, str]:
    """What was measured with, as far as it is here; SGLang as the servers' environment has it."""
    found = {name: version(name) for name in PACKAGES if find_spec(name)}
    servers = sorted(Path(".venv-sglang").glob("lib/python*/site-packages/sglang-*.dist-info"))
    return {**found, **({"sglang": servers[0].name.split("-")[1].removesuffix(".dist")} if servers else {})}


def machine() -> str:
    """What ran this."""
    names = (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name"))
    parts = (
        next(names, platform.processor()),
        f"{os.cpu_count()} cores",
        f"{platform.system()} {platform.machine()}",
        f"Python {platform.python_version()}",
    )
    return ", ".join(parts)


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []
