"""Fork and join on a CUDA machine, with results: `benchmarks/gpu/run.sh` builds the environment first and runs this.

SGLang serves a model that has the shape of Llama 3 8B and dummy weights: speed needs no trained ones. `--shape tiny`
proves the whole command on a CPU.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import anyio

from apr_agents.engines.sglang import SGLangEngine
from benchmarks.facts import machine, today
from benchmarks.gpu.model import SHAPES, write_model
from benchmarks.gpu.runs import Case, Tell, fixed_lengths, grid
from tests.sglang.serve import DEPLOYED, LOGS, ROOT, START_SECONDS, Servers, Started, meeting_at
from tests.support.ports import free_ports

RESULTS = ROOT / "benchmarks" / "results"
LAUNCHERS = {"8b": "-m sglang.launch_server", "tiny": str(DEPLOYED / "cpu" / "launch.py")}
PYTHONS = {"8b": ".venv-sglang-gpu/bin/python", "tiny": ".venv-sglang/bin/python"}
PREFIXES = {"8b": (1024, 4096, 16_384, 32_768), "tiny": (256,)}
BRANCHES = {"8b": (2, 4, 8, 16, 32, 64), "tiny": (2, 4)}
TOKENS = {"8b": 128, "tiny": 40}


def main() -> None:
    """Start the server, run the grid, store a row for each case."""
    options = arguments().parse_args()
    shape: str = options.shape
    cases = [
        Case(prefix, branches, options.tokens or TOKENS[shape])
        for prefix in options.prefix or PREFIXES[shape]
        for branches in options.branches or BRANCHES[shape]
    ]
    rows: list[Mapping[str, object]] = []
    file = options.save or RESULTS / f"{today()}-gpu-{shape}.json"
    python = options.python or ROOT / PYTHONS[shape]
    facts = {
        "machine": machine(),
        "accelerator": accelerator(),
        "shape": SHAPES[shape].config,
        "versions": told(python),
    }

    def tell(row: Mapping[str, object]) -> None:
        rows.append(row)
        print(json.dumps(row), flush=True)
        stored = {**facts, "date": today(), "repeats": options.repeats, "rows": rows}
        file.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")

    with server(shape, python) as url:
        anyio.run(measure, url, cases, options.repeats, options.longest, tell)
    print(f"{file}: {len(rows)} rows", file=sys.stderr)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="8b")
    parser.add_argument("--prefix", type=int, nargs="+", help="tokens")
    parser.add_argument("--branches", type=int, nargs="+")
    parser.add_argument("--tokens", type=int, help="of the shortest branch")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--longest", type=int, default=4096, help="tokens said in sequence at most")
    parser.add_argument("--python", type=Path, help="of the environment that has SGLang")
    parser.add_argument("--save", type=Path, help="the file of the results")
    return parser


async def measure(url: str, cases: list[Case], repeats: int, longest: int, tell: Tell) -> None:
    async with SGLangEngine(url, extend=fixed_lengths) as engine:
        await grid(engine, cases, repeats, longest, tell)


@contextmanager
def server(shape: str, python: Path) -> Generator[str]:
    """The address of a server of this shape, as operators start it; its log is shown when it does not start."""
    LOGS.mkdir(parents=True, exist_ok=True)
    model = write_model(ROOT / "build" / f"model-{shape}", SHAPES[shape])
    port, inner_port = free_ports(2)
    command = (str(DEPLOYED / "launch.sh"), str(model), "--load-format", "dummy", "--served-model-name", shape)
    environment = {"SGLANG_PORT": str(port), "SGLANG_LAUNCHER": f"{python} {LAUNCHERS[shape]}"}
    running = Servers()
    process = running.start(f"gpu-{shape}", Started(port, (*command, *meeting_at(inner_port)), environment))
    try:
        process.wait_until_ready(time.monotonic() + 3 * START_SECONDS)
        yield process.url
    except BaseException:
        process.show_log()
        raise
    finally:
        running.stop()


def accelerator() -> str:
    """What nvidia-smi says; `none` where there is none."""
    if shutil.which("nvidia-smi") is None:
        return "none"
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    return subprocess.check_output(query, text=True).strip()


def told(python: Path) -> dict[str, str]:
    """The versions in the server's environment."""
    code = (
        "import json, platform; from importlib.metadata import distributions;"
        "found = {one.name: one.version for one in distributions()};"
        "names = ('sglang', 'torch', 'flashinfer-python', 'sgl-kernel', 'transformers');"
        "print(json.dumps({'python': platform.python_version(), **{n: found[n] for n in names if n in found}}))"
    )
    return json.loads(subprocess.check_output([str(python), "-c", code], text=True))


if __name__ == "__main__":
    main()
