"""What makes a dialect's data contradict itself. Each problem is one line: the key, what is wrong, the mend."""

from __future__ import annotations

import re
from collections.abc import Iterator

from apr_agents.dialects.dialect import Dialect

_SHARED = ({"block_open", "outlines_open"}, {"block_close", "conclusion_close"})
"""Tags that may be the same text."""
_OUTLINED = ("block_open", "block_close", "outlines_open", "outlines_close", "outline_open")
_NEEDED = {
    "outlines_close": _OUTLINED,
    "block_open": ("block_open", "block_close"),
    "outline_close": ("outline_open", "outline_close", "join"),
    "start": (),
}

MOST_BRANCHES = 4096
"""Of one block, as in a workflow's budget."""


def contradictions(dialect: Dialect) -> Iterator[str]:
    """Every problem of this dialect, the first one first; none if it is sound."""
    yield from _tags(dialect)
    yield from _numbers(dialect)
    yield from _fork(dialect)
    yield from _conclusion(dialect)
    if dialect.runs:
        yield from _glue(dialect)


def _tags(dialect: Dialect) -> Iterator[str]:
    owners: dict[str, str] = {}
    for role in dialect.tags.__dataclass_fields__:
        tag: str | None = getattr(dialect.tags, role)
        if not tag:
            continue
        if not re.fullmatch(r"<[^<>]+>", tag):
            yield f"tags.{role}: is {tag!r}; a tag begins with <, ends with > and has neither inside"
        if dialect.reads and "{n}" in tag:
            yield f"tags.{role}: is {tag!r}; a dialect that is parsed has fixed tags, its numbers stand in the headers"
        owner = owners.setdefault(tag, role)
        if owner != role and {owner, role} not in _SHARED:
            yield f"tags.{role}: is {tag!r} as tags.{owner} is; give it a tag of its own"


def _numbers(dialect: Dialect) -> Iterator[str]:
    if dialect.first_number < 0:
        yield f"first_number: is {dialect.first_number}; give 0 or more"
    for key, value in (("branches", dialect.branches), ("max_outlines", dialect.max_outlines)):
        if value is not None and not 1 <= value <= MOST_BRANCHES:
            yield f"{key}: is {value}; give 1 to {MOST_BRANCHES}, or leave it out"
    try:
        re.compile(dialect.number_pattern)
    except re.error as error:
        yield f"number_pattern: is no regular expression: {error}"


def _fork(dialect: Dialect) -> Iterator[str]:
    for role in _NEEDED[dialect.fork_at]:
        if getattr(dialect.tags, role) is None:
            yield f"fork_at: is {dialect.fork_at}, which needs tags.{role}; add the tag or fork elsewhere"
    if dialect.fork_at in ("block_open", "start") and dialect.branches is None:
        yield f"fork_at: is {dialect.fork_at}, where no outlines say how many branches there are; add branches"
    if dialect.fork_at == "start" and dialect.nests:
        yield "nests: is true, but a fork at the start happens once; make it false"
    if dialect.fork_at in ("block_open", "start") and dialect.tags.outline_open is not None:
        yield (
            f"fork_at: is {dialect.fork_at}, before the outlines; remove tags.outline_open or fork at outlines_close"
        )
    if dialect.fork_at.startswith("outline") and dialect.branches is not None:
        yield f"branches: is {dialect.branches}, but there is one branch per outline; remove it"
    if dialect.tags.outline_open is not None and "{n}: {outline}" not in dialect.outline:
        yield f"outline: is {dialect.outline!r}, which lacks {{n}}: {{outline}}; add it"


def _conclusion(dialect: Dialect) -> Iterator[str]:
    tags = dialect.tags
    if dialect.conclusion == "none" and (tags.conclusion_open or tags.conclusion_close):
        yield "conclusion: is none, but there are tags for it; give inside or after, or remove the tags"
    for role in ("conclusion_open", "conclusion_close"):
        if dialect.conclusion != "none" and getattr(tags, role) is None:
            yield f"conclusion: is {dialect.conclusion}, which needs tags.{role}; add the tag or give none"


def _glue(dialect: Dialect) -> Iterator[str]:
    """Of a dialect that runs: what the client writes must be what the parser reads."""
    tags = dialect.tags
    for key in ("branch_open", "branch_close"):
        if not getattr(tags, key):
            yield f"tags.{key}: is empty; a dialect that runs marks its branches"
    for key, header in (("branch_header", dialect.branch_header), ("join_header", dialect.join_header)):
        if tags.branch_open not in header:
            yield f"{key}: lacks {tags.branch_open}, with which a branch opens; add it"
        if tags.outline_open is not None and "{n}" not in header:
            yield f"{key}: lacks {{n}}, though outlines number the branches; add it"
        if "{outline}" in header:
            yield f"{key}: has {{outline}}, but child_sees is context, which holds the outlines; remove it"
    if tags.block_close is not None:
        closes = tags.block_close in dialect.join_tail
        if closes and dialect.closed_by == "model":
            yield f"closed_by: is model, but join_tail holds {tags.block_close}; remove it there or give client"
        if not closes and dialect.closed_by == "client":
            yield f"closed_by: is client, but join_tail lacks {tags.block_close}; add it there or give model"
