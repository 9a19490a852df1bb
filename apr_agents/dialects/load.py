"""Reads a dialect from its YAML file, and says in one line what is wrong with it and how to mend that."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, cast, get_args, get_origin, get_type_hints

from apr_agents.dialects.check import contradictions
from apr_agents.dialects.dialect import Dialect, Tags
from apr_agents.errors import DialectError

_MOST_BYTES: Final = 64 * 1024
_REQUIRED: Final = ("name", "source", "tags", "branch_header", "join_header", "join_tail")


def dialect_names() -> tuple[str, ...]:
    """The names of the shipped dialects, sorted."""
    files = (resources.files("apr_agents.dialects") / "data").iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


def load_dialect(name_or_file: str | Path) -> Dialect:
    """A shipped dialect by its name, or one from a file: a Path, or text that ends in `.yaml` or `.yml`.

    Raises DialectError, of one line that names the file, the key and the mend.
    """
    if isinstance(name_or_file, Path) or name_or_file.endswith((".yaml", ".yml")):
        return _read_file(Path(name_or_file))
    names = dialect_names()
    if name_or_file not in names:
        raise DialectError(f"no dialect {name_or_file!r}; shipped: {', '.join(names)}; a file's name ends in .yaml")
    return _shipped(name_or_file)


@cache
def _shipped(name: str) -> Dialect:
    file = resources.files("apr_agents.dialects") / "data" / f"{name}.yaml"
    return read_dialect(file.read_text(encoding="utf-8"), file.name)


def _read_file(file: Path) -> Dialect:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DialectError(f"{file}: {error.strerror}; give a dialect's file or a shipped dialect's name") from error
    if len(data) > _MOST_BYTES:
        raise DialectError(f"{file}: larger than {_MOST_BYTES} bytes; a dialect is a page of text")
    try:
        return read_dialect(data.decode("utf-8"), str(file))
    except UnicodeDecodeError as error:
        raise DialectError(f"{file}: not UTF-8 at byte {error.start}; save it as UTF-8") from error


def read_dialect(text: str, file: str) -> Dialect:
    """The dialect that this YAML text holds; `file` is the name for errors. Raises DialectError."""
    from apr_agents.dialects.document import entries  # PyYAML would be a tenth of the package's import

    data = entries(text, file)
    tags = data.get("tags")
    if "tags" in data and not isinstance(tags, dict):
        raise DialectError(f"{file}: tags: is {_shown(tags)}; give a mapping of tag names to tags")
    values = _typed(Dialect, data, _REQUIRED, "", file)
    found = _typed(Tags, cast("dict[str, object]", tags), ("branch_open", "branch_close"), "tags.", file)
    absent: dict[str, Any] = dict.fromkeys(get_type_hints(Tags))
    values["tags"] = Tags(**(absent | found))
    dialect = Dialect(**values)
    for problem in contradictions(dialect):
        raise DialectError(f"{file}: {problem}")
    return dialect


def _typed(cls: type, data: dict[str, object], required: tuple[str, ...], prefix: str, file: str) -> dict[str, Any]:
    """This data, each key known and each value of its field's type."""
    hints = get_type_hints(cls)
    for key in data:
        if key not in hints:
            raise DialectError(f"{file}: {prefix}{key}: no such key; there are {', '.join(hints)}")
    for key in required:
        if key not in data:
            raise DialectError(f"{file}: {prefix}{key}: missing; add it")
    for key, value in data.items():
        wanted = hints[key]
        if wanted is not Tags and not _fits(value, wanted):
            raise DialectError(f"{file}: {prefix}{key}: is {_shown(value)}; give {_described(wanted)}")
    return dict(data)


def _fits(value: object, wanted: object) -> bool:
    if isinstance(wanted, UnionType):
        return any(_fits(value, option) for option in get_args(wanted))
    if get_origin(wanted) is Literal:
        return isinstance(value, str) and value in get_args(wanted)
    return type(value) is cast("type", wanted)


def _described(wanted: object) -> str:
    if isinstance(wanted, UnionType):
        return " or ".join(map(_described, get_args(wanted)))
    if get_origin(wanted) is Literal:
        return "one of " + ", ".join(get_args(wanted))
    names: dict[object, str] = {str: "text in quotes", int: "a whole number", bool: "true or false", NoneType: "null"}
    return names[wanted]


def _shown(value: object) -> str:
    return "null" if value is None else repr(value)[:60]
