"""The entries of a dialect's YAML text, each key once and each value as it is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import cast

import yaml

from apr_agents.errors import DialectError


def entries(text: str, file: str) -> dict[str, object]:
    """Scalars by key, and one mapping more in `tags`; `file` is the name for errors. Raises DialectError."""
    return _entries(_document(text, file), "", file)


def _document(text: str, file: str) -> yaml.MappingNode:
    """The YAML text as nodes, which know their places and their duplicate keys."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "nested too deep"
        raise DialectError(f"{file}{line}: not YAML: {problem}") from error
    if not isinstance(node, yaml.MappingNode):
        raise DialectError(f"{file}: not a mapping of keys to values; see the shipped dialects")
    return node


def _entries(node: yaml.MappingNode, prefix: str, file: str) -> dict[str, object]:
    """A mapping of scalars, and of one mapping more inside `tags`. Raises for a key that comes twice."""
    found: dict[str, object] = {}
    for key_node, value_node in _pairs(node):
        key = f"{prefix}{key_node.value}"
        place = f"{file}:{key_node.start_mark.line + 1}"
        if str(key_node.value) in found:
            raise DialectError(f"{place}: {key}: comes twice; remove one")
        if isinstance(value_node, yaml.MappingNode) and key == "tags":
            found[key] = _entries(value_node, "tags.", file)
        elif isinstance(value_node, yaml.ScalarNode):
            found[str(key_node.value)] = _scalar(value_node)
        else:
            raise DialectError(f"{place}: {key}: is a list or a mapping; give one value")
    return found


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    return iter(cast("list[tuple[yaml.Node, yaml.Node]]", node.value))


def _scalar(node: yaml.ScalarNode) -> object:
    """The value as YAML reads it; what is neither a number, a truth value nor null is its text."""
    if node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"):
        with suppress(ValueError, KeyError):
            return yaml.SafeLoader("").construct_object(node)
    return str(node.value)
