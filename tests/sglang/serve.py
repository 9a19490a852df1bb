"""Run a command beside real SGLang servers: `python -m tests.sglang.serve COMMAND...`, such as `pytest -m sglang`.

One server, two behind two routers (policies manual and cache_aware), and one with wrong settings, each with the shipped
model, on free ports of this machine. They start at the same time and end with the command, whatever ends it; their
addresses are in its environment (see `tests/sglang/addresses.py`). `make sglang-cpu` builds what they run in.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.support.ports import free_ports

ROOT = Path(__file__).parents[2]
LOGS = ROOT / "build" / "sglang"
MODEL = ROOT / "training" / "countdown-hf"
# Below ROOT, where every server is started: paths without spaces, whatever stands above.
ENVIRONMENT = Path(".venv-sglang")
PYTHON = ENVIRONMENT / "bin" / "python"
DEPLOYED = Path("integrations") / "sglang"
START_SECONDS = 600
STOP_SECONDS = 30
SHOWN_LINES = 40
"""Of each log, when a server failed."""
SHOWN_COLUMNS = 300
"""A server tells all its settings in one line."""


@dataclass(frozen=True, slots=True)
class Started:
    """How a server is started."""

    port: int
    command: Sequence[str]
    environment: Mapping[str, str]
    """What its environment has beside ours."""
    workers: int = 0
    """How many a router has to find before it serves."""


class Process:
    """A server that was started; its log is in `LOGS`."""

    def __init__(self, name: str, started: Started) -> None:
        self.name = name
        self.url = f"http://127.0.0.1:{started.port}"
        self.log = LOGS / f"{name}.log"
        self._workers = started.workers
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C is for us, and what it starts ends with it.
            self._process = subprocess.Popen(
                started.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, **started.environment},
                start_new_session=True,
            )

    def wait_until_ready(self, deadline: float) -> None:
        """Raises SystemExit when it ends, or does not get ready, before the deadline."""
        while not self._ready():
            if self._process.poll() is not None:
                raise SystemExit(f"{self.name} ended with status {self._process.returncode} before it was ready")
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.name} was not ready within {START_SECONDS} seconds")
            time.sleep(0.2)

    def _ready(self) -> bool:
        """Whether it serves; a router does once it has found all its workers."""
        path = "/workers" if self._workers else "/health"
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()
        return response.status == 200 and (not self._workers or json.loads(body)["total"] == self._workers)

    def end(self) -> None:
        """Ask it to end."""
        if self._process.poll() is None:
            self._process.terminate()

    def reap(self, deadline: float) -> None:
        """Wait until it has ended, and end by force what is left of it."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def show_log(self) -> None:
        """The end of its log, on standard error."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN_LINES:]
        shown = [line[:SHOWN_COLUMNS] for line in lines]
        print(f"\n── {self.log}, the last lines", *shown, sep="\n", file=sys.stderr)


class Servers:
    """What was started so far; its mutable state."""

    def __init__(self) -> None:
        self.started: list[Process] = []

    def start(self, name: str, started: Started) -> Process:
        process = Process(name, started)
        self.started.append(process)
        return process

    def stop(self) -> None:
        """End all at the same time. Nothing interrupts it: no process is left behind."""
        kept = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        for process in self.started:
            process.end()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.started:
            process.reap(deadline)
        for number, handler in kept.items():
            signal.signal(number, handler)


@contextmanager
def servers() -> Generator[Mapping[str, str]]:
    """All servers, ready; where they are, as environment variables. Shows their logs when they do not get ready."""
    LOGS.mkdir(parents=True, exist_ok=True)
    running = Servers()
    try:
        yield start_all(running)
    finally:
        running.stop()


def start_all(running: Servers) -> Mapping[str, str]:
    """Start every server, then the routers in front of those that are ready."""
    try:
        return _start_all(running)
    except BaseException:
        for process in running.started:
            process.show_log()
        raise


def _start_all(running: Servers) -> Mapping[str, str]:
    ports = iter(free_ports(12))
    single, first, second = (
        running.start(name, well_set(next(ports), next(ports))) for name in ("single", "worker-1", "worker-2")
    )
    misset = running.start("misset", wrongly_set(next(ports), next(ports)))
    deadline = time.monotonic() + START_SECONDS
    for process in tuple(running.started):
        process.wait_until_ready(deadline)
    workers = (first.url, second.url)
    metrics_port = next(ports)
    manual = running.start("router", router("manual", next(ports), metrics_port, workers))
    cache_aware = running.start("router-cache-aware", router("cache_aware", next(ports), next(ports), workers))
    for process in (manual, cache_aware):
        process.wait_until_ready(deadline)
    return {
        "APR_SGLANG_URL": single.url,
        "APR_SGLANG_WORKER_URLS": " ".join(workers),
        "APR_SGLANG_ROUTER_URL": manual.url,
        "APR_SGLANG_ROUTER_METRICS_URL": f"http://127.0.0.1:{metrics_port}",
        "APR_SGLANG_CACHE_AWARE_URL": cache_aware.url,
        "APR_SGLANG_MISSET_URL": misset.url,
        "APR_SGLANG_PROCESSOR": str(ROOT / ENVIRONMENT / "scripted_processor.json"),
    }


SERVED = ("--served-model-name", "countdown", "--enable-custom-logit-processor")
"""The flags of every server here; only a test's server may run code that its clients send."""


def well_set(port: int, inner_port: int) -> Started:
    """A server as operators start it."""
    command = (str(DEPLOYED / "launch.sh"), str(MODEL), *SERVED, *meeting_at(inner_port))
    environment = {"SGLANG_PORT": str(port), "SGLANG_LAUNCHER": f"{PYTHON} {DEPLOYED / 'cpu' / 'launch.py'}"}
    return Started(port, command, environment)


def wrongly_set(port: int, inner_port: int) -> Started:
    """A server with all that one server on a CPU can have wrong at once: SGLang's own settings, and two more."""
    launcher = (str(PYTHON), str(DEPLOYED / "cpu" / "launch.py"), "--model-path", str(MODEL), "--port", str(port))
    wrong = ("--strip-thinking-cache", "--disable-radix-cache")
    return Started(port, (*launcher, *SERVED, *meeting_at(inner_port), *wrong), {})


def meeting_at(inner_port: int) -> tuple[str, ...]:
    """Where a server's own processes meet. Left to itself, SGLang finds a port long before it listens there."""
    return ("--nccl-port", str(inner_port))


def router(policy: str, port: int, metrics_port: int, workers: Sequence[str]) -> Started:
    """A router as operators start it."""
    environment = {
        "ROUTER_POLICY": policy,
        "ROUTER_PORT": str(port),
        "ROUTER_METRICS_PORT": str(metrics_port),
        "SGLANG_ROUTER": f"{PYTHON} -m sglang_router.launch_router",
    }
    return Started(port, (str(DEPLOYED / "router.sh"), *workers), environment, len(workers))


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """The command's exit status. Ctrl-C reaches it too, so it is waited for."""
    process = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit("python -m tests.sglang.serve COMMAND...: which command?")
    if not (ROOT / ENVIRONMENT / ".ready").exists():
        raise SystemExit(f"{ROOT / ENVIRONMENT} is not there: build it with `make sglang-cpu`")
    signal.signal(signal.SIGTERM, terminated)
    began = time.monotonic()
    with servers() as environment:
        print(f"servers ready after {time.monotonic() - began:.0f} s; logs in {LOGS}", file=sys.stderr)
        status = run(sys.argv[1:], environment)
        if status:
            raise SystemExit(status)


def terminated(number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM ends us as an error does, so that what was started is stopped."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
