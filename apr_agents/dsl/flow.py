"""A workflow followed before it runs: what each step may refer to, and what it gives to those behind it."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from apr_agents.dsl.checked import Check
from apr_agents.dsl.checks import misuses
from apr_agents.dsl.deciding import in_condition
from apr_agents.dsl.naming import listed, suggestion
from apr_agents.dsl.nesting import bound
from apr_agents.dsl.parts import Data, JoinSpec
from apr_agents.dsl.places import Finding, Path, at, below
from apr_agents.dsl.scope import Scope, Type, common, item_of, misfit, type_of, unknown
from apr_agents.dsl.steps import (
    Call,
    Fork,
    Generate,
    Map,
    Reason,
    Repeat,
    Score,
    Select,
    Step,
    When,
)
from apr_agents.runner.calls import Function

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
NO_NAME = "not a name; expected letters, digits and `_`, at most 64, no digit first"
_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")

_OF_SCHEMA: Mapping[str, Type] = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "array": "list",
    "object": "mapping",
}
"""The types of values, by those of a JSON Schema."""

Findings = Iterator[Finding]
Behind = Generator[Finding, None, tuple[Scope, Type]]
"""The findings, and at the end what is known behind the step, and the type of its value."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Follows steps."""

    checks: Mapping[str, Check]
    functions: Mapping[str, Function]
    """What may be called."""
    whole: bool
    """Whether nothing else may be."""
    branches: int | None = None
    """How many branches a block may have, where the file says so."""

    def steps(self, path: Path, steps: Sequence[Step], scope: Scope) -> Behind:
        """One after the other."""
        kind: Type = "any"
        for position, step in enumerate(steps):
            here = (*path, position)
            scope, kind = yield from self.step(here, step, scope)
            if step.as_ is not None:
                yield from _name((*here, "as"), step.as_)
                scope = _with(scope, step.as_, kind)
        return scope, kind

    def step(self, path: Path, step: Step, scope: Scope) -> Behind:
        """One step, but for the name that its value has."""
        match step:
            case When():
                return (yield from self._when(path, step, scope))
            case Repeat():
                return (yield from self._repeat(path, step, scope))
            case Fork():
                kind = yield from self._fork(path, step, scope)
            case Map():
                kind = yield from self._map(path, step, scope)
            case Reason() | Generate():
                kind = yield from self._ask(path, step, scope)
            case Call():
                yield from self._call((*path, "call"), path, step.call, step.arguments, scope)
                kind = "any"
            case Score():
                kind = yield from self._score(path, step, scope)
            case Select():
                kind = yield from _select(path, step, scope)
        return scope, kind

    def _ask(self, path: Path, step: Reason | Generate, scope: Scope) -> Generator[Finding, None, Type]:
        key, asked = ("reason", step.reason) if isinstance(step, Reason) else ("generate", step.generate)
        yield from at((*path, key), unknown(asked, scope))
        if isinstance(step, Reason):
            yield from self._reason(path, step, scope)
        if step.check is not None:
            yield from below((*path, "check"), misuses(step.check, scope, self.checks))
        return "text" if step.items is None else "texts"

    def _reason(self, path: Path, step: Reason, scope: Scope) -> Findings:
        for position, name in enumerate(step.functions):
            here = (*path, "functions", position)
            if not _FUNCTION.fullmatch(name):
                yield here, f"{name!r} is no function's name; expected letters, digits, `_`, `.` and `-`"
            elif name in step.functions[:position]:
                yield here, f"`{name}` a second time; expected each function once"
            else:
                yield from self._known(here, name)
        if step.outlines is not None:
            yield from at((*path, "outlines"), misfit(step.outlines, scope, "texts"))
            if step.outlines == ():
                yield (*path, "outlines"), "a list of 0; expected a list of at least 1"
        if step.join.synthesis is not None:
            yield (
                (*path, "join", "synthesis"),
                "in a step `reason`, where the model goes on itself; expected it in `fork` or `map`",
            )

    def _fork(self, path: Path, step: Fork, scope: Scope) -> Generator[Finding, None, Type]:
        for name, steps in step.fork.items():
            yield from _name((*path, "fork", name), name)
            yield from self.steps((*path, "fork", name), steps, scope)
        yield from self._crowd((*path, "fork"), len(step.fork))
        return (yield from _join((*path, "join"), step.join, scope, "mapping", len(step.fork)))

    def _map(self, path: Path, step: Map, scope: Scope) -> Generator[Finding, None, Type]:
        found = list(at((*path, "map"), misfit(step.map, scope, "list", "integer")))
        yield from found
        if isinstance(step.map, int) and not 1 <= step.map <= MAX_BRANCHES:
            yield (*path, "map"), f"the number {step.map}; expected 1 to {MAX_BRANCHES}"
        else:
            yield from self._crowd((*path, "map"), _count(step))
        yield from _name((*path, "each"), step.each)
        kind: Type = "any" if found else type_of(step.map, scope)
        item = "integer" if kind == "integer" else item_of(kind)
        yield from self.steps((*path, "steps"), step.steps, _with(scope, step.each, item))
        return (yield from _join((*path, "join"), step.join, scope, "list", _count(step)))

    def _crowd(self, path: Path, count: int | None) -> Findings:
        """Whether a block has more branches than the file's own budget, where their number is written."""
        if self.branches is not None and count is not None and count > self.branches:
            yield path, f"{count} branches; expected at most {self.branches}, as `budget.branches` says"

    def _score(self, path: Path, step: Score, scope: Scope) -> Generator[Finding, None, Type]:
        found = list(at((*path, "score"), unknown(step.score, scope)))
        yield from found
        kind: Type = "any" if found else type_of(step.score, scope)
        if step.prompt is not None:
            yield from at((*path, "prompt"), unknown(step.prompt, {**scope, "item": item_of(kind)}))
        if step.by is not None:
            yield from self._call((*path, "by"), path, step.by, step.arguments, scope, "item")
        lists = ("any", "list", "integers", "texts")
        return "any" if kind == "any" else "list" if kind in lists else "number"

    def _when(self, path: Path, step: When, scope: Scope) -> Behind:
        yield from in_condition((*path, "when"), step.when, scope, self.checks)
        then, one = yield from self.steps((*path, "then"), step.then, scope)
        other, two = yield from self.steps((*path, "else"), step.else_, scope)
        both: Scope = {name: common(then[name], other[name]) for name in then if name in other}
        return both, common(one, two)

    def _repeat(self, path: Path, step: Repeat, scope: Scope) -> Behind:
        if isinstance(step.most, str):
            yield from at((*path, "most"), misfit(step.most, scope, "integer"))
        for name, value in step.start.items():
            yield from _name((*path, "start", name), name)
            yield from at((*path, "start", name), unknown(value, scope))
        before = scope
        for name in step.start:
            before = _with(before, name, "any")
        # What an earlier round gave may be of another type than what there was before the first one.
        rebound: Scope = dict.fromkeys((name for name in bound(step.repeat) if name in before), "any")
        behind, kind = yield from self.steps((*path, "repeat"), step.repeat, {**before, **rebound})
        if step.until is not None:
            yield from in_condition((*path, "until"), step.until, behind, self.checks)
        return behind, kind

    def _call(
        self, here: Path, path: Path, name: str, arguments: Mapping[str, Data], scope: Scope, *given: str
    ) -> Findings:
        """A call: whether its function is known, and takes these arguments beside those that are `given`."""
        yield from self._known(here, name)
        function = self.functions.get(name)
        schema = function.schema() if function else {}
        takes: Mapping[str, Mapping[str, str]] = schema.get("properties", {})
        for argument, value in arguments.items():
            wanted = _OF_SCHEMA.get(takes.get(argument, {}).get("type", ""))
            problems = misfit(value, scope, wanted) if wanted else unknown(value, scope)
            yield from at((*path, "arguments", argument), problems)
            if function and argument not in takes:
                what = f"unknown argument{suggestion(argument, takes)}; {name} takes {listed(takes) or 'none'}"
                yield (*path, "arguments", argument), what
        for argument in schema.get("required", ()):
            if argument not in (*arguments, *given):
                yield path, f"the argument `{argument}` is missing; {name} needs it"

    def _known(self, path: Path, name: str) -> Findings:
        if self.whole and name not in self.functions:
            near, there_are = suggestion(name, self.functions), listed(self.functions)
            yield path, f"no function is named {name[:60]!r}{near}; expected one of {there_are}"


MAX_BRANCHES = 4096


def _select(path: Path, step: Select, scope: Scope) -> Generator[Finding, None, Type]:
    found = list(at((*path, "select"), misfit(step.select, scope, "list")))
    yield from found
    if step.scores is not None:
        yield from at((*path, "scores"), misfit(step.scores, scope, "numbers"))
    if isinstance(step.count, str):
        yield from at((*path, "count"), misfit(step.count, scope, "integer"))
    kind: Type = "any" if found else type_of(step.select, scope)
    return item_of(kind) if step.count is None else kind


def _join(
    path: Path, spec: JoinSpec, scope: Scope, value: Type, branches: int | None = None
) -> Generator[Finding, None, Type]:
    """A join of given branches, whose values are of this type together."""
    if spec.ahead is not None:
        yield (*path, "ahead"), "in a join of given branches, which have no common text; expected it in `reason` only"
    if spec.order != "number":
        yield (
            (*path, "order"),
            "in a join of given branches, whose values keep their order; expected it in `reason` only",
        )
    if branches is not None and spec.count is not None and spec.count > branches:
        yield (*path, "count"), f"{spec.count} of {branches} branches; expected at most {branches}"
    if spec.synthesis is None:
        return value
    yield from at((*path, "synthesis"), unknown(spec.synthesis, {**scope, "branches": value}))
    return "text"


def _count(step: Map) -> int | None:
    """How many branches a map has, where that is written."""
    count = len(step.map) if isinstance(step.map, tuple) else step.map if isinstance(step.map, int) else None
    return min(count, step.limit or count) if count else None


def _with(scope: Scope, name: str, kind: Type) -> Scope:
    """The scope with one more name; what is none is told once, where it is given."""
    return {**scope, name: kind} if NAME.fullmatch(name) else scope


def _name(path: Path, name: str) -> Findings:
    if not NAME.fullmatch(name):
        yield path, NO_NAME
