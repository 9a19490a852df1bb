"""A walk: a context that grows by decoding and joining. The run is a walk, and so is each branch inside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from apr_agents.context import Context, Segment
from apr_agents.engines.base import Chunk, Finish, Request, Sampling
from apr_agents.errors import BudgetError, ContextFull, EngineError, UsageError
from apr_agents.events import Event, Verdict
from apr_agents.paths import BranchPath
from apr_agents.runner import retries
from apr_agents.runner.growing import Growing, charged, phases_of
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.planning import Planning
from apr_agents.runner.progress import Generated, Noted
from apr_agents.runner.recorder import Recorder
from apr_agents.runner.settings import request_seed
from apr_agents.runner.shared import End, Shared, engine_errors, place
from apr_agents.trace import Kind

_MAX_NOTES = 100
"""In one branch: a model may write any number of malformed tags."""

_EARLY = 0.05
"""Seconds before a deadline in which an engine that fails is taken to have given up because of it."""
_GRACE = 1.0
"""Seconds after its deadline in which a walk has been cancelled, however busy the machine."""


class Walk:
    """One context and how far it has come.

    Its mutable state is the context so far, the text in flight, what its allowance has left, and the outcomes of its
    branches, so that a walk which is cancelled at any point has all that it had.
    """

    def __init__(
        self,
        shared: Shared,
        path: BranchPath,
        start: Context,
        recorder: Recorder,
        allowance: int,
        closing: str | None,
        deadline: float,
    ) -> None:
        """`closing` is the tag that ends a branch of a block; None for a walk of its own, the run or a workflow's step:
        it begins with the outlines that the settings give. `deadline` is the earliest of those around it.

        Raises UsageError where outlines are given deeper than blocks may nest.
        """
        settings = shared.settings
        dialect = settings.dialect
        self.inside = closing is not None
        self.shared = shared
        self.path = path
        self._name = str(path)
        self.context = start
        self.recorder = recorder
        self.allowance = allowance
        self.closing = closing if self.inside else dialect.ends_at
        self.deadline = deadline
        self.given = () if self.inside else settings.given
        """The outlines of its first block, until that has opened."""
        self.blocks = 0
        self.outcomes: list[Outcome] = []
        self.requests = 0
        self._last: Finish | None = None
        self._continued = 0
        self.planning = Planning(settings, path, inside=self.inside)
        if self.given and path.depth >= settings.budget.depth:
            raise UsageError(f"branch {path}: outlines are given {path.depth} deep, where budget.depth is no more")

    @property
    def ended(self) -> End | None:
        """Why the walk ended with its last request, also when it was cancelled before it could say so."""
        return self.end(self._last) if self._last is not None and self.planning.fork is None else None

    def end(self, finish: Finish) -> End | None:
        """Why the walk ends with this finish; None: it stopped at outlines that make no fork, and goes on as text."""
        if finish.reason == "length":
            return self._bound(finish)
        if finish.matched is None:
            return End("eos")
        return End("closed") if finish.matched == self.closing else None

    def _bound(self, finish: Finish) -> End:
        """Which bound was the length at which a request ended."""
        if self._window_left() < 1:
            return End("context", f"the engine's window of {self.shared.engine.info.window} tokens is full")
        if self.allowance < 1:
            share = "its share of the run's budget" if self.inside else "the run's budget"
            return End("tokens", f"{share} of tokens is used up")
        limit = "request's limit" if self.shared.settings.max_tokens else "engine's own limit"
        return End("max_tokens", f"the {limit} of {finish.usage.generated} tokens was reached")

    def _window_left(self) -> int:
        window = self.shared.engine.info.window
        return self.allowance + 1 if window is None else window - self.context.tokens

    async def warm(self) -> None:
        """Evaluate the context once, so that the branches which are about to fork from it find it in the cache."""
        shared = self.shared
        granted = shared.ledger.reserve(1)
        try:
            request = Request(
                self.context, 0, deadline=self.deadline, path=self.path, run_id=shared.run_id, watched=False
            )
            await self._ask(request, Kind.decode)
        finally:
            shared.ledger.settle(granted, 0)
            self._last = None

    def replay(self, segment: Segment | None, finish: Finish | None, tokens: int) -> bool:
        """Take what a stretch of a request gave before the run was resumed; whether it was the first one of it."""
        begun = not self._continued
        self.requests += begun
        self._continued = 0 if finish else self._continued + tokens
        self.allowance -= tokens
        self._last = finish
        if segment is not None:
            self.context = self.context.extend(segment)
            if segment.ids is not None:
                self.shared.prefixes.add(self.context, unevaluated=1)
        return begun

    async def decode(self, kind: Kind) -> Finish:
        """One engine request, sent again where that may help: its text is in the context when this returns, or raises,
        or is cancelled."""
        shared = self.shared
        most = (shared.settings.max_tokens or self.allowance + self._continued) - self._continued
        wanted = min(self.allowance, self._window_left(), max(1, most))
        if wanted < 1:
            return self._no_room()
        before = self.allowance
        self.planning.called = False
        granted = shared.ledger.reserve(wanted)
        try:
            return await self._ask(self._request(granted), kind)
        finally:
            self._continued = 0
            shared.ledger.settle(granted, before - self.allowance)

    async def _ask(self, request: Request, kind: Kind) -> Finish:
        """Send a request, and send it again while it fails without a token and that may help."""
        sent = 0
        while True:
            sent += 1
            try:
                return await self._send(request, kind)
            except EngineError as error:
                if self.context is not request.context or not retries.may_help(error):
                    raise
                await self._back_off(error, sent)

    async def _back_off(self, error: EngineError, sent: int) -> None:
        """Wait before a request is sent again, without a place. Raises EngineError where it is not to be, and why."""
        shared = self.shared
        now = shared.engine.clock.now()
        seconds = retries.pause(error, shared.settings.seed, self.path, self.requests, sent)
        why = retries.refusal(sent, seconds, self.deadline - now)
        if why is None and not shared.ledger.retry():
            why = "not sent again: the run's budget of retries is used up"
        if why is not None:
            raise EngineError(f"{error}; {why}") from error
        await self.note(f"a request is sent again in {seconds:.3g} s: {error}")
        self.recorder.open(Kind.retry)
        try:
            await shared.engine.clock.sleep_until(now + seconds)
        except BaseException:  # a cancellation, too: no span stays open
            self.recorder.close("cancelled")
            raise
        self.recorder.close()

    async def _send(self, request: Request, kind: Kind) -> Finish:
        """Send a request once. Whatever comes of it is booked, and its span is closed."""
        shared = self.shared
        text = Growing(request, shared.settings.dialect.tags.roles())
        try:
            async with place(shared, self.recorder):
                self.recorder.open(kind)
                text.reusable, text.continues = self.reusable(self.context), self._continued > 0
                finish = await self._read(request, text)
        except EngineError:
            self._settle(text, "failed")
            raise
        except BaseException:  # a cancellation, too: what came is booked
            self._settle(text, "cancelled")
            raise
        self._settle(text, "done")
        return finish

    def _no_room(self) -> Finish:
        if self.allowance < 1:
            raise BudgetError("tokens", "its share of the run's budget of tokens is used up")
        raise ContextFull(f"the engine's window of {self.shared.engine.info.window} tokens is full")

    def _request(self, granted: int) -> Request:
        settings, dialect = self.shared.settings, self.shared.settings.dialect
        self.requests += not self._continued
        chosen = settings.sampling
        seed = request_seed(settings.seed, self.path, self.requests)
        fork_tag = dialect.fork_tag if self.planning.may_fork else None
        return Request(
            context=self.context,
            max_tokens=granted,
            stops=tuple(tag for tag in (self.closing, fork_tag) if tag),
            sampling=Sampling(chosen.temperature, chosen.top_k, chosen.top_p, seed),
            deadline=self.deadline,
            path=self.path,
            run_id=self.shared.run_id,
            watched=self.shared.watched() or self.planning.eager or (self.path.depth > 0 and settings.join.cancels),
        )

    async def _read(self, request: Request, text: Growing) -> Finish:
        """Read a stream to its finish."""
        try:
            with engine_errors("the engine failed"):
                async with self.shared.engine.stream(request) as chunks:
                    async for chunk in chunks:
                        await self._take(chunk, text)
                        if text.finish is not None:
                            return text.finish
        except EngineError:
            await self._await_deadline()
            raise
        raise EngineError("the engine's stream ended without a finish", text.text)

    async def _await_deadline(self) -> None:
        """Where an engine gave up at the deadline: whoever set it is about to cancel this walk, and is waited for.

        So it ends as it does on an engine that keeps no deadlines, and no fail-fast rule takes it for a failure.
        """
        clock = self.shared.engine.clock
        if clock.now() >= self.deadline - _EARLY:
            await clock.sleep_until(self.deadline + _GRACE)

    async def _take(self, chunk: Chunk, text: Growing) -> None:
        """Every chunk of every request comes here: what it needs not is not done."""
        text.add(chunk)
        if not chunk.text:
            return
        planning = self.planning
        if events := planning.feed(chunk.text):
            await self._heed(events)
        if planning.called:
            planning.cut(self.context, text, self.recorder)
        if self.shared.watched():
            await self.shared.tell(Generated(self._name, chunk.text, len(chunk.ids or (0,))))

    async def _heed(self, events: Sequence[Event]) -> None:
        """Note what the parser found wrong."""
        for event in events:
            if isinstance(event, Verdict):
                await self.note(f"{event.kind} at {event.offset}: {event.detail}")

    async def note(self, note: str) -> None:
        """Note something, up to the bound of notes in one branch."""
        notes = self.recorder.notes
        if len(notes) > _MAX_NOTES:
            return
        if len(notes) == _MAX_NOTES:
            note = "there is more to note than is kept"
        where = f"branch {self.path}: " if self.path.depth else ""
        notes.append(where + note)
        await self.shared.tell(Noted(self._name, note))

    async def finish(self) -> None:
        """Say what the text left unclosed."""
        await self._heed(self.planning.close())

    def reusable(self, context: Context) -> int | None:
        """How many of a prompt's tokens this run has evaluated before, in whole pages, the last one never."""
        if context.segment.ids is None:
            return None
        matched = min(self.shared.prefixes.matched(context), context.tokens - 1)
        return matched - matched % self.shared.engine.info.page

    def _settle(self, text: Growing, outcome: Literal["done", "failed", "cancelled"]) -> None:
        """Book a request, put its text into the context, and close its span. Awaits nothing: it runs when cancelled."""
        context, finish = text.context(), text.finish
        # Of a request that gave nothing it is not known that the engine evaluated any of it.
        if text.reusable is not None and (finish or text.count):
            self.shared.prefixes.add(context, unevaluated=1 if text.count else 0)
        tokens = charged(self.context, text, text.reusable)
        self.allowance -= tokens.generated
        self.context, self._last = context, finish
        self.planning.settle(text, tokens, self.recorder)
        whole = "length" if finish and finish.reason == "length" and text.count else "done"
        ended = "failed" if outcome == "failed" else whole if finish else outcome
        self.recorder.close(ended, *text.share(tokens, phases_of(text)))
