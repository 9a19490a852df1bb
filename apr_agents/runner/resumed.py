"""Decoding that is kept in a journal, and taken from there when the run is resumed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from apr_agents.errors import PlanChanged
from apr_agents.events import Fork
from apr_agents.plain import Json
from apr_agents.runner.early import Early
from apr_agents.runner.journal import Journal, Piece, digest_of
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.stretches import Stretch, plan_of, stretch_of, stretches
from apr_agents.runner.walk import Walk
from apr_agents.trace import Branch, Kind


async def decode(walk: Walk, kind: Kind, early: Early | None = None) -> None:
    """The walk's next request; calls that it plans start at once where there is an `early`. A walk that cannot fork has
    one request only, and that is kept with its branch."""
    journal = walk.shared.journal if walk.planning.may_fork or not walk.inside else None
    if early is not None:
        await _decode_early(walk, kind, early, journal)
    elif journal is None:
        await walk.decode(kind)
    else:
        await _decode_whole(walk, kind, journal)


async def _decode_whole(walk: Walk, kind: Kind, journal: Journal) -> None:
    before, mark = walk.context, walk.recorder.mark()

    async def whole() -> Stretch:
        finish = await walk.decode(kind)
        segment = None if walk.context is before else walk.context.segment
        piece = Piece(segment, finish, *walk.recorder.since(mark), digest_of(walk.planning.fork))
        return stretch_of(walk, piece)

    kept = await _keep(walk, f"{kind}#{walk.requests + 1}", journal, whole)
    if kept.piece.finish is None:
        raise PlanChanged(f"{_where(walk)} had started calls early: resume with the functions that it was started with")


async def _decode_early(walk: Walk, kind: Kind, early: Early, journal: Journal | None) -> None:
    """One request in stretches. What is planned is durable before a call starts, while the request goes on."""
    name, part = f"{kind}#{walk.requests + 1}", 1
    async with stretches(walk, kind) as request:
        while True:
            here = name if part == 1 else f"{name}.{part}"
            stretch = await (request.next() if journal is None else _keep(walk, here, journal, request.next))
            if stretch.piece.finish is not None:
                return
            calls = early.due(stretch)
            if calls and journal is not None:
                await journal.seal()
            for planned in calls:
                early.start(planned, stretch.piece.spans[-1].id)
            part += 1


async def _keep(walk: Walk, name: str, journal: Journal, make: Callable[[], Awaitable[Stretch]]) -> Stretch:
    """What `make` gives, kept under this name; or what was kept, and the walk brought there."""
    made: Stretch | None = None

    async def work() -> Json:
        nonlocal made
        made = await make()
        return made.piece.to_json()

    kept = await journal.keep(name_of(walk, name), work)
    return made or _replay(walk, Piece.from_json(kept))


def _replay(walk: Walk, piece: Piece) -> Stretch:
    """Bring the walk to where it was behind this piece. Raises PlanChanged where its text opens another block now."""
    begun = walk.replay(piece.segment, piece.finish, piece.tokens)
    walk.shared.ledger.restore(piece.tokens, 0, int(begun), piece.retries)
    walk.deadline -= walk.recorder.restore(piece.spans, piece.notes)
    if piece.head is not None:
        walk.recorder.amend(piece.head)
    if piece.segment is not None:
        walk.planning.feed(piece.segment.text)
    check_digest(walk, plan_of(walk, whole=piece.finish is not None), piece)
    return stretch_of(walk, piece)


def name_of(walk: Walk, piece: str) -> str:
    """The name under which the journal keeps this piece of the walk."""
    return f"{walk.path}/{piece}" if walk.path.depth else piece


def check_digest(walk: Walk, plan: Fork | None, kept: Piece) -> None:
    """Raises PlanChanged when the block that is planned now is not the kept one."""
    if digest_of(plan) != kept.plan:
        raise PlanChanged(
            f"block {walk.blocks + 1} of {_where(walk)} was planned as {kept.plan}, and is {digest_of(plan)} now:"
            " resume with the dialect, the budget and the outlines that the run was started with"
        )


def _where(walk: Walk) -> str:
    return f"branch {walk.path}" if walk.path.depth else "the run"


def check_plan(planned: Branch, kept: Outcome) -> None:
    """Raises PlanChanged when a branch's kept outcome is not of the branch that is planned now."""
    was = kept.branch
    if (was.number, was.outline, was.kind) != (planned.number, planned.outline, planned.kind):
        raise PlanChanged(
            f"branch {planned.path} was {was.kind} {was.outline!r:.60}, and is {planned.kind} {planned.outline!r:.60}"
            " now: resume with the functions that the run was started with"
        )
