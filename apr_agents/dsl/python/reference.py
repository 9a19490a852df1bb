"""References: what a traced function holds in place of a value that only a run has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from apr_agents.dsl.parts import Data
from apr_agents.errors import UsageError


@dataclass(frozen=True, slots=True)
class Reference:
    """The value of a name while a workflow runs. In an f-string it is `${name}`; `[key]` and `[0]` are its parts."""

    name: str | None
    """None: the step's value has no name, and can be returned only."""

    __iter__ = None
    """Without it Python would ask for the parts 0, 1, 2 ... without end."""

    def __getitem__(self, key: str | int) -> Reference:
        return Reference(f"{self._named}.{key}")

    def __str__(self) -> str:
        return f"${{{self._named}}}"

    def __bool__(self) -> bool:
        raise UsageError(f"{self!r} has no value yet: the function is traced; decide with when(...)")

    @property
    def _named(self) -> str:
        if self.name is None:
            raise UsageError("a step's value is used and has no name; name it, as in generate(..., as_='text')")
        return self.name


Written = bool | int | float | str | Reference | Sequence["Written"] | Mapping[str, "Written"]
"""A JSON value in which a reference may stand anywhere."""


def written(value: Written) -> Data:
    """The value with its references as text, as a workflow has it. Raises UsageError for a step without a name."""
    if isinstance(value, Reference):
        return str(value)
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {key: written(one) for key, one in value.items()}
    return tuple(written(one) for one in cast("Sequence[Written]", value))


def written_all(values: Mapping[str, Written]) -> dict[str, Data]:
    """Each of these values, as `written`."""
    return {name: written(value) for name, value in values.items()}
