"""A walk that begins with a block of the caller's: opened, evaluated once for all its branches, its plan kept."""

from __future__ import annotations

from apr_agents.events import Fork
from apr_agents.glue import open_block
from apr_agents.plain import Json
from apr_agents.runner.calls import find_call
from apr_agents.runner.journal import Journal, Piece, digest_of
from apr_agents.runner.resumed import check_digest, name_of
from apr_agents.runner.walk import Walk


async def begin(walk: Walk) -> Fork:
    """The plan of the block whose outlines the caller gives, open in the walk's context.

    Raises PlanChanged when the run was started with other outlines; BudgetError and EngineError as a request does.
    """
    settings = walk.shared.settings
    plan, walk.given = Fork(walk.given, 0), ()
    walk.context = open_block(walk.context, plan.outlines, settings.dialect, walk.shared.engine.encode)
    walk.planning.give(plan.outlines)
    if walk.shared.journal is None:
        await _evaluate(walk, plan)
    else:
        await _keep(walk, plan, walk.shared.journal)
    return plan


async def _evaluate(walk: Walk, plan: Fork) -> None:
    """A model's own request leaves its prefix in the cache; here a request for no new tokens does, where that pays."""
    reasoning = [one for one in plan.outlines if find_call(one.text, walk.shared.settings.functions) is None]
    if len(reasoning) > 1 and walk.shared.engine.info.warms:
        await walk.warm()


async def _keep(walk: Walk, plan: Fork, journal: Journal) -> None:
    made = False
    mark = walk.recorder.mark()

    async def work() -> Json:
        nonlocal made
        made = True
        await _evaluate(walk, plan)
        return Piece(None, None, *walk.recorder.since(mark), digest_of(plan)).to_json()

    kept = Piece.from_json(await journal.keep(name_of(walk, f"plan#{walk.blocks + 1}"), work))
    check_digest(walk, plan, kept)
    if not made:
        walk.shared.ledger.restore(0, 0, len(kept.spans) - kept.retries, kept.retries)
        walk.deadline -= walk.recorder.restore(kept.spans, kept.notes)
        if kept.spans:
            walk.shared.prefixes.add(walk.context)
