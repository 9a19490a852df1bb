"""The shape of the package: its public names, which way imports point, what a wheel holds, what an import loads."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import apr_agents

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "apr_agents"
ORDER = (
    ("errors", "paths", "events", "clock", "models", "plain"),
    ("dialects",),
    ("context",),
    ("glue", "prefixes", "trace"),
    ("accounting",),
    ("report", "engines"),
    ("runner",),
    ("dsl", "integrations", "doctor"),
    ("cli",),
    ("__main__",),
)
"""A module imports only from its own row and from rows above; events know dialects' words, and dialects know events."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("apr_agents"):
            parts = node.module.split(".")
            if len(parts) > 1:
                yield parts[1]
            else:
                yield from (alias.name for alias in node.names)


def test_public_names_are_the_documented_ones() -> None:
    assert set(apr_agents.__all__) <= set(vars(apr_agents))
    assert len(apr_agents.__all__) <= 16


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(module: Path) -> None:
    if module == PACKAGE / "__init__.py":
        return
    row = {room: number for number, rooms in enumerate(ORDER) for room in rooms}
    late = [room for room in imported_rooms(module) if row[room] > row[room_of(module)]]
    assert late == []


def test_tasks_are_born_in_one_module() -> None:
    """And one beside each stream that LiteLLM carries: it answers as a whole, and is read in pieces."""
    births = [str(m.relative_to(PACKAGE)) for m in modules() if "create_task_group" in m.read_text()]
    assert births == ["engines/litellm/call.py", "runner/spawner.py"]


def test_errors_are_drawn_as_they_are() -> None:
    from apr_agents import errors

    def draw(kind: type[Exception]) -> Iterator[str]:
        yield kind.__name__
        for child in kind.__subclasses__():
            yield from draw(child)

    drawn = [line.split("──")[-1].split()[0] for line in (errors.__doc__ or "").splitlines() if "──" in line]
    assert ["AprError", *drawn] == list(draw(errors.AprError))


def test_no_python_beside_the_package_that_could_be_imported() -> None:
    assert list((ROOT / "dsl").rglob("*.py")) == []


def test_importing_the_package_loads_no_engine_and_connects_to_nothing() -> None:
    script = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise SystemExit('the import opened a socket')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "import apr_agents\n"
        "heavy = {'xllamacpp', 'langgraph', 'langchain_core', 'litellm', 'torch', 'numpy', 'aiohttp', 'rich'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_a_wheel_holds_the_package_and_its_data_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"apr_agents", f"apr_agents-{wheel.name.split('-')[1]}.dist-info"}
    assert "apr_agents/py.typed" in names
    assert "apr_agents/models/countdown/model.gguf" in names
    assert {f"apr_agents/{path.relative_to(PACKAGE)}" for path in modules()} <= set(names)


def test_a_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Unpacked beside the installed dependencies, in another folder, the package finds its own data."""
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "site")
    script = (
        "import sys; sys.path.insert(0, 'site')\n"
        "import apr_agents, apr_agents.models\n"
        "from pathlib import Path\n"
        "assert Path(apr_agents.__file__).is_relative_to(Path('site').resolve()), apr_agents.__file__\n"
        "assert apr_agents.load_dialect('threadweaver').runs\n"
        "assert apr_agents.models.path().is_file()\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
