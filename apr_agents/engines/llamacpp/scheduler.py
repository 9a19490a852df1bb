"""Continuous batching: one thread, one batch per step, every request in it.

Each step takes what each request has pending: the token sampled last, or a share of its prompt. New requests start
from the sequence that holds most of their context; a prefix that several wait for is evaluated once. When cells run
out, parked sequences are dropped, then the youngest request steps back until another ends.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from apr_agents.clock import Clock
from apr_agents.engines.base import Request
from apr_agents.engines.llamacpp.bindings import Library
from apr_agents.engines.llamacpp.cache import Cache, User, Wanted
from apr_agents.engines.llamacpp.decoder import DecodeFailed, Decoder, Piece
from apr_agents.engines.llamacpp.handover import Handover, Letter, Mailbox
from apr_agents.engines.llamacpp.job import Job
from apr_agents.engines.llamacpp.model import Model
from apr_agents.engines.llamacpp.sampling import Sampler
from apr_agents.errors import AprError, ContextFull, EngineError

Planned = tuple[Job, Piece]

_PATIENCE = 16
"""A request waits for another's prefill only if that saves more tokens than this; fewer cost less than a step."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What a scheduler did since it started, and what it holds now."""

    steps: int
    evaluated: int
    """Tokens given to llama.cpp, of prompts and of answers."""
    waiting: int
    active: int
    parked: int
    """Sequences kept for later requests."""


class Scheduler:
    """Serves requests from one thread until it is closed."""

    def __init__(self, library: Library, model: Model, decoder: Decoder, sequences: int, clock: Clock) -> None:
        self._library, self._model, self._decoder, self._clock = library, model, decoder, clock
        self._cache = Cache(decoder, sequences, rewinds=model.rewinds)
        self.window = min(decoder.cells, model.window or decoder.cells)
        self._changed = threading.Condition()
        self._arrived: deque[tuple[Job, Mailbox]] = deque()
        self._closing = False
        self._death: EngineError | None = None
        self._mailboxes: dict[Job, Mailbox] = {}
        self._waiting: deque[Job] = deque()
        self._active: list[Job] = []
        self._preempted: list[Job] = []
        self._outbox: list[tuple[Mailbox, Letter]] = []
        self._steps = self._evaluated = 0

    # From the event loop ------------------------------------------------------------------------------------------

    def submit(self, request: Request, mailbox: Mailbox) -> Job:
        """Queue a request; its chunks go to the mailbox. Raises EngineError when the scheduler is closed or dead."""
        check_fits(request, self.window)
        job = Job(request, self._model, self._clock.now())
        with self._changed:
            if self._death is not None or self._closing:
                raise self._death or EngineError("the engine is closed")
            self._arrived.append((job, mailbox))
            self._changed.notify()
        return job

    def cancel(self, job: Job) -> None:
        """The request is of no use any more; its sequence is free after the step under way."""
        with self._changed:
            job.cancelled = True
            self._changed.notify()

    def close(self) -> None:
        """End the thread after the step under way; requests that are not finished get an EngineError."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    @property
    def counters(self) -> Counters:
        parked = sum(1 for slot in self._cache.slots if slot.length and not slot.busy)
        waiting = len(self._arrived) + len(self._waiting) + len(self._preempted)
        return Counters(self._steps, self._evaluated, waiting, len(self._active), parked)

    # In the thread ------------------------------------------------------------------------------------------------

    def run(self, handover: Handover) -> None:
        """Serve until closed. Whatever ends it, no request is left without an answer."""
        death = EngineError("the engine was closed before the request was finished")
        try:
            while self._await_work():
                self._step()
                if self._outbox:
                    handover.post(self._outbox)
                    self._outbox = []
        except Exception as error:  # whatever kills the thread, every waiting request must hear of it
            death = EngineError(f"the embedded engine's thread died: {error!r}")
        self._end(death)
        handover.post(self._outbox)

    def _await_work(self) -> bool:
        with self._changed:
            while not (self._closing or self._arrived or self._waiting or self._active):
                self._changed.wait()
            while self._arrived:
                job, mailbox = self._arrived.popleft()
                self._mailboxes[job] = mailbox
                self._waiting.append(job)
            return not self._closing

    def _end(self, death: EngineError) -> None:
        with self._changed:
            self._death = death
            self._mailboxes.update(self._arrived)
            self._arrived.clear()
        for job in list(self._mailboxes):
            self._fail(job, EngineError(str(death), job.text))

    def _step(self) -> None:
        self._sweep(self._clock.now())
        self._admit()
        if not self._active:
            return
        batch = self._evaluate(self._plan())
        self._accept(batch, self._clock.now())

    def _sweep(self, now: float) -> None:
        """Let go of requests that were cancelled or are past their deadline."""
        for job in list(self._mailboxes):
            deadline = job.request.deadline
            if job.cancelled:
                self._release(job)
            elif deadline is not None and now >= deadline:
                self._fail(job, EngineError("the request's deadline passed before it was finished", job.text))

    def _admit(self) -> None:
        """Give sequences to waiting requests, first come first served."""
        for job in list(self._waiting):
            if job.waits_behind():
                continue
            try:
                wanted = Wanted(job.request.context, job.generated)
                job.behind = self._prefix_under_way(wanted)
                if job.behind is None and not self._start(job, wanted):
                    return
            except AprError as error:
                self._fail(job, EngineError(str(error), job.text))

    def _start(self, job: Job, wanted: Wanted) -> bool:
        """Give a sequence to a request; False when all are busy. Raises EngineError for ids of another model."""
        user = User(job.request.run_id, job.request.path)
        taken = self._cache.take(wanted, user)
        if taken is None:
            return False
        if job.request.max_tokens:  # one that only warms is made while branches still run
            # Attention passes over every cell in use at every step: those of the past may cost what the weights do.
            self._cache.tidy(user, {other.request.run_id for other in self._mailboxes}, self._model.spare)
        slot, cached = taken
        pending = list(wanted.rest(slot.base)[len(slot.extra) :])
        job.start(slot, pending, cached, self._clock.now())
        job.sampler = job.sampler or Sampler(self._library, job.request.sampling)
        self._waiting.remove(job)
        self._active.append(job)
        if min(pending) < 0 or max(pending) >= self._model.size:
            raise EngineError("the context has token ids that the model does not; it comes from another model")
        return True

    def _prefix_under_way(self, wanted: Wanted) -> tuple[Job, int] | None:
        """The request that will soon hold much more of what is wanted than any sequence does, and how much."""
        prefilling = [job for job in self._active if not job.generated and len(job.pending) > 1]
        if not prefilling or not self._model.rewinds:
            return None
        _, held = self._cache.best(wanted)
        found = [
            (wanted.common(wanted.shared_link(job.request.context), job.request.context), job) for job in prefilling
        ]
        tokens, other = max(found, key=lambda pair: pair[0])
        tokens = min(tokens, wanted.length - 1)
        return (other, tokens) if tokens > held + _PATIENCE else None

    def _plan(self) -> list[Planned]:
        """One batch: each active request's share of what it has pending."""
        shares = share([len(job.pending) for job in self._active], self._decoder.batch)
        return [
            (job, Piece(job.slot.sequence, job.slot.length, job.pending[:count], count == len(job.pending)))
            for job, count in zip(self._active, shares, strict=True)
            if count and job.slot is not None
        ]

    def _evaluate(self, batch: list[Planned]) -> list[Planned]:
        """Evaluate the batch, making room where there is none; what was evaluated in the end."""
        try:
            while batch and not self._decoder.evaluate([piece for _, piece in batch]):
                if not self._cache.evict():
                    batch = self._step_back(batch)
        except DecodeFailed as error:
            for job, _ in batch:
                if job.slot is not None:
                    self._cache.drop(job.slot)
                self._fail(job, EngineError(str(error), job.text))
            return []
        self._steps += 1
        for job, piece in batch:
            self._evaluated += len(piece.tokens)
            if job.slot is not None:
                self._cache.grow(job.slot, piece.tokens, job.request.context)
            del job.pending[: len(piece.tokens)]
        return batch

    def _step_back(self, batch: list[Planned]) -> list[Planned]:
        """No cell is left: the youngest request gives up its sequence and waits until another one ends."""
        youngest = self._active[-1]
        if len(self._active) == 1:
            self._fail(youngest, full(youngest, self._decoder.cells))
        else:
            self._active.remove(youngest)
            if youngest.slot is not None:
                self._cache.drop(youngest.slot)
            youngest.slot = None
            self._preempted.append(youngest)
        return [(job, piece) for job, piece in batch if job is not youngest]

    def _accept(self, batch: Sequence[Planned], now: float) -> None:
        """Sample where a request has nothing pending and wants tokens, then end those that are finished."""
        index = -1
        for job, piece in batch:
            index += len(piece.tokens)
            if not piece.sampled or job.sampler is None:
                continue
            wants_tokens = job.request.max_tokens > 0
            chunk = job.accept(job.sampler.sample(self._decoder, index), now) if wants_tokens else job.evaluated(now)
            self._outbox.append((self._mailboxes[job], chunk))
            if chunk.finish is not None:
                self._release(job)
            elif job.length >= self.window:
                self._fail(job, full(job, self.window))

    def _fail(self, job: Job, error: EngineError) -> None:
        self._outbox.append((self._mailboxes[job], error))
        self._release(job)

    def _release(self, job: Job) -> None:
        """The request is over; its sequence is parked, and those that stepped back may try again."""
        del self._mailboxes[job]
        for queue in (self._waiting, self._active, self._preempted):
            if job in queue:
                queue.remove(job)
        if job.slot is not None:
            self._cache.park(job.slot)
        job.slot = None
        if job.sampler is not None:
            job.sampler.close()
        self._waiting.extendleft(reversed(self._preempted))
        self._preempted.clear()


def check_fits(request: Request, window: int) -> None:
    """Raises EngineError for a context without tokens, ContextFull for one that leaves no room for an answer."""
    if not request.context.tokens:
        raise EngineError("the context has no tokens; the embedded engine goes on from ids, at least one")
    if request.context.tokens >= window:
        raise ContextFull(
            f"the context has {request.context.tokens} tokens and the window {window}; shorten it or ask for more "
            "context_tokens"
        )


def full(job: Job, tokens: int) -> ContextFull:
    return ContextFull(
        f"the context is full: prompt and answer reached {job.length} tokens, the engine has {tokens}; shorten the "
        "prompt, lower max_tokens or ask for more context_tokens",
        job.text,
    )


def share(wants: Sequence[int], room: int) -> list[int]:
    """Room shared out so that no one gets less than another who wants no less; small wants are met first."""
    shares = [0] * len(wants)
    for rank, index in enumerate(sorted(range(len(wants)), key=lambda index: wants[index])):
        shares[index] = min(wants[index], room // (len(wants) - rank))
        room -= shares[index]
    return shares
