"""How contexts fork and join: the one place where a dialect's client text meets a run's tokens.

Pure functions. The driver runs on them and the training data is made with them, so that what is trained is what is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from apr_agents.context import Context, Origin, Segment
from apr_agents.dialects import Dialect
from apr_agents.events import Outline


class Encode(Protocol):
    """Text to ids; `control` says whether control tags in it become control tokens. None: the engine takes text."""

    def __call__(self, text: str, *, control: bool) -> tuple[int, ...] | None: ...


@dataclass(frozen=True, slots=True)
class Fork:
    """A branch's start: its parent's context and its own header behind it."""

    number: str
    start: Context
    """Ends with the branch's header."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A branch that may be joined: where it started and where it ended, closing tag included."""

    fork: Fork
    end: Context


def open_block(parent: Context, outlines: Sequence[Outline], dialect: Dialect, encode: Encode) -> Context:
    """The parent's context, and behind it a block of these outlines, which the client writes in the model's place.

    Its tags are the tokens that a model writes; what the outlines say is plain text and can open nothing. In a dialect
    without outlines it is the tag that opens a block, and in one that forks before any text it is the parent's context.
    """
    texts: list[str] = []
    ids: list[int] | None = []
    for text, own in opening(outlines, dialect):
        piece = f"\n{text}" if not texts and text and not parent.segment.text.endswith("\n") else text
        encoded = encode(piece, control=own)
        texts.append(piece if own or encoded is not None else neutralise(piece, dialect))
        ids = None if ids is None or encoded is None else [*ids, *encoded]
    text = "".join(texts)
    return parent.extend(Segment(text, None if ids is None else tuple(ids), Origin.client)) if text else parent


def opening(outlines: Sequence[Outline], dialect: Dialect) -> Iterator[tuple[str, bool]]:
    """A block of these outlines up to its fork, in pieces: text, and whether it is the dialect's own."""
    tags = dialect.tags
    opened = [tag for tag in dict.fromkeys((tags.block_open, tags.outlines_open)) if tag]
    if tags.outline_open is None:
        yield "\n".join(opened), True
        return
    before = "\n".join([*opened, tags.outline_open])
    for outline in outlines:
        yield before, True
        yield dialect.outline.replace("{n}", outline.number).replace("{outline}", outline.text), False
        before = f"{tags.outline_close}\n{tags.outline_open}"
    yield f"{tags.outline_close}\n{tags.outlines_close}", True


def fork_context(parent: Context, dialect: Dialect, number: str, encode: Encode) -> Fork:
    """The context of branch `number`: the parent's, shared, and the dialect's header."""
    return Fork(number, parent.extend(_header(dialect.branch_header, number, encode)))


def close_branch(fork: Fork, end: Context, dialect: Dialect, encode: Encode) -> Context:
    """The context of a branch that stopped without its closing tag, closed by the client."""
    return end.extend(_injected(dialect.closing(fork.number), encode))


def result_context(fork: Fork, text: str, dialect: Dialect, encode: Encode) -> Context:
    """The context of a branch whose text came from outside: plain text, then the closing tag. It can open nothing.

    Behind a header that ends with a number's colon it gets the space that a model writes there.
    """
    if fork.start.segment.text.endswith(":") and text and not text[0].isspace():
        text = f" {text}"
    plain = encode(text, control=False)
    if plain is None:
        text = neutralise(text, dialect)
    return close_branch(fork, fork.start.extend(Segment(text, plain, Origin.branch)), dialect, encode)


def join_context(parent: Context, branches: Sequence[Joined], dialect: Dialect, encode: Encode) -> Context:
    """The parent's context, these branches in this order, and the tail of the block.

    The first branch keeps its own links, and with them its cache, so the engine evaluates only the others' texts.
    """
    context = branches[0].end if branches else parent
    for branch in branches[1:]:
        context = join_branch(context, branch, dialect, encode)
    return context.extend(_injected(dialect.join_tail, encode)) if dialect.join_tail else context


def join_branch(context: Context, branch: Joined, dialect: Dialect, encode: Encode) -> Context:
    """This context, which ends with a joined branch, and a further one behind it."""
    same = dialect.join_header == dialect.branch_header
    header = branch.fork.start.segment if same else _header(dialect.join_header, branch.fork.number, encode)
    return context.extend(header, *map(_brought, branch.end.since(branch.fork.start)))


def neutralise(text: str, dialect: Dialect) -> str:
    r"""This text with one backslash put into each control tag (`<\Thread>`); `restore` takes it out again."""
    return _tag_pattern(dialect).sub(r"<\\\1\2", text)


def restore(text: str, dialect: Dialect) -> str:
    """The inverse of `neutralise`."""
    return _tag_pattern(dialect).sub(lambda found: "<" + found[1][1:] + found[2], text)


def _tag_pattern(dialect: Dialect) -> re.Pattern[str]:
    tags = (getattr(dialect.tags, field) for field in dialect.tags.__dataclass_fields__)
    rests = sorted({re.escape(tag[1:]).replace(r"\{n\}", "[0-9]+") for tag in tags if tag and tag.startswith("<")})
    return re.compile(r"<(\\*)(" + "|".join(rests) + ")")


def _header(template: str, number: str, encode: Encode) -> Segment:
    return _injected(template.replace("{n}", number), encode)


def _injected(text: str, encode: Encode) -> Segment:
    return Segment(text, encode(text, control=True), Origin.header)


def _brought(segment: Segment) -> Segment:
    """A branch's own tokens are, for its parent, what a branch brought back."""
    return segment if segment.origin is Origin.header else Segment(segment.text, segment.ids, Origin.branch)
