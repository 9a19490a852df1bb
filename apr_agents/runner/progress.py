"""What a run tells while it goes on: values on one bounded stream, each with the path of its branch."""

from __future__ import annotations

from dataclasses import dataclass

from apr_agents.events import Outline
from apr_agents.trace import Branch


@dataclass(frozen=True, slots=True)
class Generated:
    """New tokens of a branch, or of the run itself."""

    path: str
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Forked:
    """A block's branches start."""

    path: str
    """Of the branch that wrote the block."""
    block: int
    outlines: tuple[Outline, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """A branch has ended."""

    branch: Branch
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Synthesis:
    """A block has joined: the engine prefills the joined context and goes on."""

    path: str
    block: int
    joined: tuple[str, ...]
    """The paths of the branches in the joined context, in its order."""


@dataclass(frozen=True, slots=True)
class Noted:
    """Something was repaired, refused or could not be had."""

    path: str
    note: str


@dataclass(frozen=True, slots=True)
class Began:
    """A step of a workflow begins."""

    path: str
    """Of the branch in which it runs."""
    place: tuple[str | int, ...]
    """Where it stands in the workflow: keys and positions."""
    kind: str
    """Such as `reason`."""


Progress = Generated | Forked | Ended | Synthesis | Noted | Began
