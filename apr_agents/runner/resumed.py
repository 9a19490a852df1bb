"""Decoding that is kept in a journal, and taken from there when the run is resumed."""

from __future__ import annotations

from apr_agents.engines.base import Finish
from apr_agents.errors import ContextError, PlanChanged
from apr_agents.events import Fork
from apr_agents.runner.journal import Journal, Json, Piece, digest_of
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.walk import Walk
from apr_agents.trace import Branch, Kind


async def decode(walk: Walk, kind: Kind) -> Finish:
    """The walk's next request. A walk that cannot fork has one only, and that is kept with its branch."""
    journal = walk.shared.journal
    if journal is None or not (walk.may_fork or walk.path.depth == 0):
        return await walk.decode(kind)
    return await _keep(walk, kind, journal)


async def _keep(walk: Walk, kind: Kind, journal: Journal) -> Finish:
    finishes: list[Finish] = []
    before, mark = walk.context, walk.recorder.mark()

    async def work() -> Json:
        finish = await walk.decode(kind)
        finishes.append(finish)
        segment = None if walk.context is before else walk.context.segment
        return Piece(segment, finish, *walk.recorder.since(mark), digest_of(walk.fork)).to_json()

    kept = await journal.keep(name_of(walk, f"{kind}#{walk.requests + 1}"), work)
    return finishes[0] if finishes else _replay(walk, Piece.from_json(kept))


def _replay(walk: Walk, piece: Piece) -> Finish:
    """Bring the walk to where it was behind this piece. Raises PlanChanged where its text opens another block now."""
    if piece.finish is None:
        raise ContextError("a stored piece of decoding has no finish")
    shared = walk.shared
    shared.ledger.restore(piece.tokens, 0, 1, piece.retries)
    walk.replay(piece.segment, piece.finish, piece.tokens)
    walk.deadline -= walk.recorder.restore(piece.spans, piece.notes)
    if walk.parser is not None and piece.segment is not None:
        forks = [event for event in walk.parser.feed(piece.segment.text) if isinstance(event, Fork)]
        walk.fork = forks[-1] if forks and walk.may_fork else None
    check_digest(walk, walk.fork, piece)
    return piece.finish


def name_of(walk: Walk, piece: str) -> str:
    """The name under which the journal keeps this piece of the walk."""
    return f"{walk.path}/{piece}" if walk.path.depth else piece


def check_digest(walk: Walk, plan: Fork | None, kept: Piece) -> None:
    """Raises PlanChanged when the block that is planned now is not the kept one."""
    if digest_of(plan) != kept.plan:
        where = f"branch {walk.path}" if walk.path.depth else "the run"
        raise PlanChanged(
            f"block {walk.blocks + 1} of {where} was planned as {kept.plan}, and is {digest_of(plan)} now:"
            " resume with the dialect, the budget and the outlines that the run was started with"
        )


def check_plan(planned: Branch, kept: Outcome) -> None:
    """Raises PlanChanged when a branch's kept outcome is not of the branch that is planned now."""
    was = kept.branch
    if (was.number, was.outline, was.kind) != (planned.number, planned.outline, planned.kind):
        raise PlanChanged(
            f"branch {planned.path} was {was.kind} {was.outline!r:.60}, and is {planned.kind} {planned.outline!r:.60}"
            " now: resume with the functions that the run was started with"
        )
