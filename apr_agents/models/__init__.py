"""The models that the package carries."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from apr_agents.errors import UsageError


def names() -> tuple[str, ...]:
    """The shipped models."""
    return tuple(sorted(entry.name for entry in files(__name__).iterdir() if (entry / "model.gguf").is_file()))


def path(name: str = "countdown") -> Path:
    """The GGUF file of a shipped model. Raises UsageError for a name that there is not."""
    if name not in names():
        raise UsageError(f"no model {name!r} is shipped; there is {', '.join(names())}, or give a .gguf file")
    return Path(str(files(__name__) / name / "model.gguf"))
