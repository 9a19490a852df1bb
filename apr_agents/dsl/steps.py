"""The kinds of step. A step's first key says which kind it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Le, Len

from apr_agents.dsl.conditions import Condition
from apr_agents.dsl.kinds import Count, FirstKey
from apr_agents.dsl.parts import (
    Binding,
    CheckSpec,
    Data,
    JoinSpec,
    Name,
    Pattern,
    SamplingSpec,
    Template,
    Values,
    pattern_problem,
)

MAX_ROUNDS = 10_000
MAX_CHOSEN = 4096


@dataclass(frozen=True, slots=True)
class Reason:
    """A step in which the model reasons, and may fork."""

    reason: Template
    """What the model is asked. `${name}` is the value of that name; `$${` stands for `${` itself."""
    mode: Name | None = None
    """The `mode` that the model's chat template sees, such as `calls` for the shipped model."""
    join: JoinSpec = JoinSpec()
    """When a block of this step joins."""
    sampling: SamplingSpec = SamplingSpec()
    """How the next token is chosen."""
    functions: Annotated[tuple[Name, ...], Len(0, 64)] = ()
    """The functions that an outline may call, as `@name {json arguments}`."""
    answer: Name | None = None
    """The answer is what stands behind the last place of this text; without it, all that the model wrote at the end."""
    check: CheckSpec | None = None
    """A check of the answer."""
    outlines: Data | None = None
    """A list of texts: the outlines of a first block, in place of the model's own. It goes on from their join."""
    items: Pattern | None = None
    """The value is the list of all places where this expression is found in the answer: its first group, else all."""
    as_: Binding | None = None
    """The name that the value has from here on."""

    def __post_init__(self) -> None:
        """Raises ValueError for what is no regular expression."""
        _check_items(self.items)


@dataclass(frozen=True, slots=True)
class Generate:
    """A step in which the model writes on without a fork."""

    generate: Template
    """What the model is asked."""
    mode: Name | None = None
    """The `mode` that the model's chat template sees."""
    sampling: SamplingSpec = SamplingSpec()
    """How the next token is chosen."""
    answer: Name | None = None
    """The value is what stands behind the last place of this text; without it, all that the model wrote."""
    check: CheckSpec | None = None
    """A check of the answer."""
    items: Pattern | None = None
    """The value is the list of all places where this expression is found in the answer: its first group, else all."""
    as_: Binding | None = None
    """The name that the value has from here on."""

    def __post_init__(self) -> None:
        """Raises ValueError for what is no regular expression."""
        _check_items(self.items)


@dataclass(frozen=True, slots=True)
class Fork:
    """Given branches at the same time. The value is a mapping of their names to their last steps' values."""

    fork: Annotated[Mapping[str, Steps], Len(1, 64)]
    """The branches: each a name and its steps, which see the values from before the fork and their own."""
    join: JoinSpec = JoinSpec()
    """When the fork joins, and whether the model is asked for a synthesis."""
    as_: Binding | None = None
    """The name that the value has from here on; a branch that failed or was cancelled has null in it."""


@dataclass(frozen=True, slots=True)
class Map:
    """The same steps for each item of a list, at the same time. The value is the list of their last steps' values."""

    map: Data
    """The list, or an integer n for the items 1 to n."""
    steps: Steps
    """What is done with each item."""
    each: Binding = "item"
    """The name of the item in these steps."""
    join: JoinSpec = JoinSpec()
    """When the branches join, and whether the model is asked for a synthesis."""
    limit: Annotated[int, Ge(1), Le(4096)] | None = None
    """The most items that are taken; the others are left out."""
    as_: Binding | None = None
    """The name that the value has from here on; an item whose branch failed or was cancelled has null in it."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function is called, one of the caller's or of the language's. The value is what it returns."""

    call: Name
    """The function's name."""
    arguments: Values = field(default_factory=dict[str, Data])
    """What it is given, by name."""
    as_: Binding | None = None
    """The name that the value has from here on."""


@dataclass(frozen=True, slots=True)
class Score:
    """A number for each item of a list, by a function or by the model, at the same time. The value is their list."""

    score: Data
    """The list, or one value, which gets one number."""
    by: Name | None = None
    """A function of one item, given as `item`, and the arguments, that returns a number."""
    prompt: Template | None = None
    """What the model is asked about `${item}`; it writes the number."""
    marker: Name | None = None
    """The number stands behind the last place of this text; without it, it is the last number that the model wrote."""
    arguments: Values = field(default_factory=dict[str, Data])
    """What the function is given beside the item."""
    mode: Name | None = None
    """The `mode` that the model's chat template sees."""
    sampling: SamplingSpec = SamplingSpec()
    """How the model's next token is chosen."""
    as_: Binding | None = None
    """The name that the value has from here on; an item that could not be scored has null in it."""

    def __post_init__(self) -> None:
        """Raises ValueError unless either a function or the model scores, each with its own fields."""
        if (self.by is None) == (self.prompt is None):
            raise ValueError(
                f"{'neither `by` nor' if self.by is None else 'both `by` and'} `prompt`; expected one of them"
            )
        if self.by is not None:
            own = {"marker": self.marker, "mode": self.mode, "sampling": self.sampling.overrides}
            if given := [name for name, value in own.items() if value]:
                raise ValueError(f"`{given[0]}` with `by`; expected it with `prompt` only")
        elif self.arguments:
            raise ValueError("`arguments` with `prompt`; expected them with `by` only")


@dataclass(frozen=True, slots=True)
class Select:
    """One item of a list is chosen, or several. The value is the item, or with `count` a list."""

    select: Data
    """The list."""
    by: Literal["best", "majority", "first"]
    """Those with the highest scores, the most frequent one, or the first ones; of equals always the earlier one."""
    scores: Data | None = None
    """For `best`: a list of numbers, one for each item."""
    count: Annotated[Annotated[int, Ge(1), Le(MAX_CHOSEN)] | Template, Count(MAX_CHOSEN)] | None = None
    """How many at most; the value is a list then. A number, or one reference."""
    blank: Literal["skip", "keep"] = "skip"
    """Whether null, empty text and empty lists can be chosen."""
    as_: Binding | None = None
    """The name that the value has from here on; null where there is nothing to choose from."""

    def __post_init__(self) -> None:
        """Raises ValueError for scores without `best`, and the other way round."""
        if (self.by == "best") != (self.scores is not None):
            raise ValueError(
                f"by `{self.by}` {'without' if self.by == 'best' else 'with'} `scores`;"
                " expected them with `best` only, and always there"
            )


@dataclass(frozen=True, slots=True)
class When:
    """One of two ways to go on. The value is that of the last step of the way taken."""

    when: Condition
    """What decides."""
    then: Steps
    """What is done where it holds."""
    else_: Annotated[tuple[Step, ...], Len(0, 100)] = ()
    """What is done where it does not. Names that both ways give are known behind the step."""
    as_: Binding | None = None
    """The name that the value has from here on; null where nothing is done."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same steps, again and again. The value is that of the last step of the last round."""

    repeat: Steps
    """What is done in each round; names given in it are known in the next round and behind the step."""
    most: Annotated[Annotated[int, Ge(1), Le(MAX_ROUNDS)] | Template, Count(MAX_ROUNDS)]
    """Rounds at most, up to 10000: a number, or one reference to an integer."""
    until: Condition | None = None
    """Looked at behind each round; where it holds, no further round is begun."""
    start: Values = field(default_factory=dict[str, Data])
    """Values before the first round, by name."""
    as_: Binding | None = None
    """The name that the value has from here on."""


Step = Annotated[Reason | Generate | Fork | Map | Call | Score | Select | When | Repeat, FirstKey("step")]
"""A step, of any kind."""

Steps = Annotated[tuple[Step, ...], Len(1, 100)]
"""Steps in their order."""


def _check_items(pattern: str | None) -> None:
    if pattern is not None and (problem := pattern_problem(pattern)):
        raise ValueError(f"`items`: {problem}")
