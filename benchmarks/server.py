"""A real SGLang server for one benchmark: as operators start it, with the shipped model, on this machine's CPU."""

from __future__ import annotations

import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from apr_agents.errors import UsageError
from tests.sglang.serve import ENVIRONMENT, LOGS, ROOT, START_SECONDS, Servers, well_set
from tests.support.ports import free_ports

REQUESTS = ("--max-running-requests", "160")
"""As many at once as a block here has branches, and more."""


@dataclass(frozen=True, slots=True)
class Served:
    """An engine to measure."""

    spec: str
    """With the server's address, where it has one."""
    processor: str | None = None
    """SGLang's custom logit processor that says a script."""

    @property
    def name(self) -> str:
        """What figures call it."""
        return self.spec.partition(":")[0]


def engine_arguments(about: str | None) -> ArgumentParser:
    """A command line that names the engine to measure, by `--engine` and `--processor`."""
    arguments = ArgumentParser(description=about, formatter_class=RawDescriptionHelpFormatter)
    arguments.add_argument("--engine", default="embedded", help="embedded, scripted, sglang[:URL] or litellm[:URL]")
    arguments.add_argument("--processor", type=Path, help="SGLang's logit processor that says a script")
    return arguments


@contextmanager
def serving(spec: str, processor: Path | None = None) -> Generator[Served]:
    """The engine that `spec` names; for `sglang` and `litellm` without an address, a server started for the block.

    Raises UsageError where such a server's environment was not built.
    """
    kind, _, rest = spec.partition(":")
    if rest or kind not in ("sglang", "litellm"):
        yield Served(spec, processor.read_text() if processor else None)
        return
    if not (ROOT / ENVIRONMENT / ".ready").exists():
        raise UsageError(f"engine {spec}: there is no server; give an address, or build one with `make sglang-cpu`")
    LOGS.mkdir(parents=True, exist_ok=True)
    started = well_set(*free_ports(2))
    running = Servers()
    try:
        server = running.start("benchmark", replace(started, command=(*started.command, *REQUESTS)))
        server.wait_until_ready(time.monotonic() + START_SECONDS)
        yield Served(f"{kind}:{server.url}", (ROOT / ENVIRONMENT / "scripted_processor.json").read_text())
    finally:
        running.stop()
