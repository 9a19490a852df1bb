"""One function for each kind of step: it is called in a traced function, and its result yielded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from apr_agents.dsl.parts import CheckSpec, JoinSpec, SamplingSpec
from apr_agents.dsl.python.reference import Reference, Written, written, written_all
from apr_agents.dsl.python.tracing import Body, Callee, Drafted, merged, parameters, trace_body
from apr_agents.dsl.spec import Call, Condition, Fork, Generate, Map, Reason, Repeat, Score, Select, When
from apr_agents.errors import UsageError

JOIN = JoinSpec()
SAMPLING = SamplingSpec()
NONE: Mapping[str, Written] = {}


def reason(
    question: str | Reference,
    *,
    mode: str | None = None,
    join: JoinSpec = JOIN,
    sampling: SamplingSpec = SAMPLING,
    functions: tuple[Callee | str, ...] = (),
    answer: str | None = None,
    check: CheckSpec | None = None,
    outlines: Written | None = None,
    items: str | None = None,
    as_: str | None = None,
) -> Drafted:
    """The model reasons, and may fork; `functions` is what its outlines may call, `outlines` a given first block."""
    own = {one.function.name: one.function for one in functions if isinstance(one, Callee)}
    names = tuple(one if isinstance(one, str) else one.function.name for one in functions)
    given = None if outlines is None else written(outlines)
    step = Reason(str(question), mode, join, sampling, names, answer, check, given, items, as_)
    return Drafted(step, own)


def generate(
    question: str | Reference,
    *,
    mode: str | None = None,
    sampling: SamplingSpec = SAMPLING,
    answer: str | None = None,
    check: CheckSpec | None = None,
    items: str | None = None,
    as_: str | None = None,
) -> Drafted:
    """The model writes on without a fork."""
    return Drafted(Generate(str(question), mode, sampling, answer, check, items, as_))


def fork(branches: Mapping[str, Body], *, join: JoinSpec = JOIN, as_: str | None = None) -> Drafted:
    """These branches at the same time."""
    traces = {name: trace_body(body) for name, body in branches.items()}
    step = Fork({name: one.steps for name, one in traces.items()}, join, as_)
    return Drafted(step, merged(list(traces.values())))


def map(
    items: Written, body: Body, *, join: JoinSpec = JOIN, limit: int | None = None, as_: str | None = None
) -> Drafted:
    """The body for each item at the same time; its parameter, where it has one, is the item."""
    names = parameters(body)
    if len(names) > 1:
        raise UsageError(f"map: the branch has the parameters {', '.join(names)}; expected one, the item, or none")
    found = trace_body(body)
    step = Map(written(items), found.steps, names[0] if names else "item", join, limit, as_)
    return Drafted(step, found.functions)


def call(name: str, *, as_: str | None = None, **arguments: Written) -> Drafted:
    """A function of the language, or of the program that runs the workflow, by its name."""
    return Drafted(Call(name, written_all(arguments), as_))


def score(
    items: Written,
    *,
    by: Callee | str | None = None,
    prompt: str | None = None,
    marker: str | None = None,
    mode: str | None = None,
    arguments: Mapping[str, Written] = NONE,
    sampling: SamplingSpec = SAMPLING,
    as_: str | None = None,
) -> Drafted:
    """A number for each item: `by` a function that takes the item as `item`, or by the model that is asked `prompt`."""
    own = {by.function.name: by.function} if isinstance(by, Callee) else {}
    name = by.function.name if isinstance(by, Callee) else by
    return Drafted(Score(written(items), name, prompt, marker, written_all(arguments), mode, sampling, as_), own)


def select(
    items: Written,
    *,
    by: Literal["best", "majority", "first"],
    scores: Written | None = None,
    count: int | Reference | None = None,
    blank: Literal["skip", "keep"] = "skip",
    as_: str | None = None,
) -> Drafted:
    """One item, or with `count` a list of as many."""
    most = str(count) if isinstance(count, Reference) else count
    return Drafted(Select(written(items), by, None if scores is None else written(scores), most, blank, as_))


def when(condition: Condition, then: Body, otherwise: Body | None = None, *, as_: str | None = None) -> Drafted:
    """One of two ways to go on."""
    ways = [trace_body(way) for way in (then, otherwise) if way is not None]
    return Drafted(When(condition, ways[0].steps, ways[1].steps if otherwise else (), as_), merged(ways))


def repeat(
    body: Body,
    *,
    most: int | Reference,
    until: Condition | None = None,
    start: Mapping[str, Written] = NONE,
    as_: str | None = None,
) -> Drafted:
    """The body again and again; its parameters are names that `start` or the body itself gives."""
    found = trace_body(body)
    bound = str(most) if isinstance(most, Reference) else most
    return Drafted(Repeat(found.steps, bound, until, written_all(start), as_), found.functions)
