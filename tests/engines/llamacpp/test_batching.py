"""Many requests at once: what is shared is evaluated once, answers do not depend on the company, nothing is left."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.clock import MonotonicClock
from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Engine, Request, Sampling
from apr_agents.engines.llamacpp import EmbeddedEngine, bindings
from apr_agents.engines.llamacpp.decoder import DecodeFailed, Decoder, Piece
from apr_agents.engines.llamacpp.handover import Handover, Mailbox
from apr_agents.engines.llamacpp.model import Model
from apr_agents.engines.llamacpp.scheduler import Scheduler, share
from apr_agents.errors import ContextFull, EngineError
from tests.support.asking import Answer, ask, ask_all, header, plain, rebuilt
from tests.support.random_gguf import RandomModel, write


def branches(engine: Engine, parent: Context, count: int, max_tokens: int) -> list[Request]:
    return [Request(header(engine, parent, f"<Thread>{n}:"), max_tokens) for n in range(1, count + 1)]


def joined(engine: Engine, parent: Context, answers: Sequence[Answer]) -> Context:
    """Branch 1's own context, the texts of the others, and a tail."""
    others = [segment for answer in answers[1:] for segment in answer.context.since(parent)]
    return header(engine, answers[0].context.extend(*others), "</Parallel>")


async def test_a_prompt_shared_by_branches_is_evaluated_once(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1) as engine:
        prefix = plain(engine, "x y " * 150)
        requests = branches(engine, prefix, 8, 16)
        answers = await ask_all(engine, requests)
        headers = sum(request.context.tokens - prefix.tokens for request in requests)
        generated = sum(answer.finish.usage.generated for answer in answers)
        evaluated = engine.counters.evaluated - (generated - len(answers))
        assert prefix.tokens < evaluated <= prefix.tokens + headers
        cached = sum(answer.finish.usage.cached or 0 for answer in answers)
        assert evaluated == sum(request.context.tokens for request in requests) - cached


async def test_a_generated_prefix_adds_its_last_token_for_each_branch(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1) as engine:
        parent = await ask(engine, Request(plain(engine, "the plan"), 20))
        before = engine.counters.evaluated
        requests = branches(engine, parent.context, 5, 1)
        answers = await ask_all(engine, requests)
        size = len(engine.encode("<Thread>1:", control=True))
        assert [answer.finish.usage.cached for answer in answers] == [parent.context.tokens - 1] * 5
        assert engine.counters.evaluated - before == 5 * (size + 1)


async def test_a_join_evaluates_the_other_branches_and_the_last_token_of_the_first(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1) as engine:
        parent = plain(engine, "the plan")
        answers = await ask_all(engine, branches(engine, parent, 4, 12))
        context = joined(engine, parent, answers)
        answer = await ask(engine, Request(context, 5))
        assert answer.finish.usage.cached == answers[0].context.tokens - 1
        assert answer.finish.usage.prompt == context.tokens


@pytest.mark.parametrize("kind", ["small", "recurrent"])
async def test_forks_and_joins_say_what_a_fresh_engine_says(kind: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(kind)
    async with EmbeddedEngine(path, threads=1, exact=True) as engine:
        parent = await ask(engine, Request(plain(engine, "the plan and then"), 20))
        requests = branches(engine, parent.context, 6, 20)
        answers = await ask_all(engine, requests)
        asked = [*requests, Request(joined(engine, parent.context, answers), 20)]
        answers.append(await ask(engine, asked[-1]))
    async with EmbeddedEngine(path, threads=1, exact=True) as fresh:
        for wanted, answer in zip(asked, answers, strict=True):
            assert (await ask(fresh, rebuilt(wanted))).ids == answer.ids


async def test_a_model_that_cannot_rewind_reuses_whole_sequences_only(recurrent: Path) -> None:
    async with EmbeddedEngine(recurrent, threads=1) as engine:
        parent = await ask(engine, Request(plain(engine, "the plan"), 10))
        (first, second) = await ask_all(engine, branches(engine, parent.context, 2, 5))
        assert {first.finish.usage.cached, second.finish.usage.cached} == {parent.context.tokens - 1}
        late = await ask(engine, Request(header(engine, parent.context, "<Thread>3:"), 5))
        assert late.finish.usage.cached == 0


async def test_more_requests_than_sequences_take_turns(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True, sequences=2) as engine:
        requests = [Request(plain(engine, f"{n} plan"), 10) for n in range(7)]
        answers = await ask_all(engine, requests)
    async with EmbeddedEngine(small, threads=1, exact=True) as fresh:
        assert [answer.ids for answer in answers] == [(await ask(fresh, request)).ids for request in requests]


async def test_parked_sequences_make_room(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, context_tokens=256) as engine:
        for number in range(6):
            answer = await ask(engine, Request(plain(engine, f"{number}" + "x" * 150), 10))
            assert answer.finish.usage.cached == 0
        assert engine.counters.parked < 6


async def test_requests_that_do_not_fit_together_run_one_after_another(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True, context_tokens=256) as engine:
        requests = [Request(plain(engine, f"{number}" + "x" * 100), 60) for number in range(4)]
        answers = await ask_all(engine, requests)
    async with EmbeddedEngine(small, threads=1, exact=True) as fresh:
        for wanted, answer in zip(requests, answers, strict=True):
            assert answer.finish.usage.prompt == 101
            assert answer.ids == (await ask(fresh, wanted)).ids


async def test_the_request_that_alone_is_too_long_fails_and_the_others_do_not(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, context_tokens=256) as engine:
        results: list[str] = []

        async def one(text: str, max_tokens: int) -> None:
            try:
                results.append((await ask(engine, Request(plain(engine, text), max_tokens))).finish.reason)
            except ContextFull:
                results.append("full")

        async with anyio.create_task_group() as group:
            group.start_soon(one, "y" * 100, 1000)
            group.start_soon(one, "x" * 100, 20)
            group.start_soon(one, "z" * 100, 20)
        assert sorted(results) == ["full", "length", "length"]


@pytest.mark.parametrize("seed", range(4))
async def test_cancelled_anywhere_nothing_is_left(small: Path, seed: int) -> None:
    threads = threading.active_count()
    chance = random.Random(seed)
    async with EmbeddedEngine(small, threads=1, exact=True, sequences=8, context_tokens=512) as engine:
        parent = await ask(engine, Request(plain(engine, "the plan"), 5))
        wanted = branches(engine, parent.context, 5, 40)
        for _ in range(60):
            with anyio.CancelScope() as scope:
                seen = 0
                limit = chance.randrange(0, 60)

                async def one(request: Request, limit: int = limit, scope: anyio.CancelScope = scope) -> None:
                    nonlocal seen
                    async with engine.stream(request) as stream:
                        async for _ in stream:
                            seen += 1
                            if seen > limit:
                                scope.cancel()

                async with anyio.create_task_group() as group:
                    for request in wanted:
                        group.start_soon(one, request)
        last = await ask(engine, wanted[0])
        counters = engine.counters
        assert (counters.active, counters.waiting) == (0, 0)
        assert counters.parked <= 8
    assert threading.active_count() == threads
    async with EmbeddedEngine(small, threads=1, exact=True) as fresh:
        assert (await ask(fresh, rebuilt(wanted[0]))).ids == last.ids


async def test_leaving_early_stops_the_work_within_a_step(tmp_path: Path) -> None:
    path = write(tmp_path / "long.gguf", RandomModel(context=32_768, quiet=True))
    async with EmbeddedEngine(path, threads=1) as engine:
        async with engine.stream(Request(plain(engine, "the"), 30_000)) as stream:
            await anext(stream)
        with pytest.raises(EngineError, match="the stream was left"):
            async for _ in stream:
                pass
        await ask(engine, Request(plain(engine, "then"), 1))
        steps = engine.counters.steps
        await ask(engine, Request(plain(engine, "and"), 1))
        assert engine.counters.steps == steps + 1
        assert engine.counters.active == 0


async def test_closing_the_engine_ends_requests_with_an_error(tmp_path: Path) -> None:
    """The request is long enough for its end to be out of reach, however late the close comes."""
    path = write(tmp_path / "long.gguf", RandomModel(context=32_768, quiet=True))
    engine = EmbeddedEngine(path, threads=1)
    async with engine, engine.stream(Request(plain(engine, "the"), 32_000)) as stream:
        first = await anext(stream)
        await engine.__aexit__(None, None, None)
        with pytest.raises(EngineError, match="closed before") as caught:
            async for _ in stream:
                pass
        assert caught.value.partial.startswith(first.text)


async def test_cancelled_while_it_opens_an_engine_leaves_no_thread(small: Path) -> None:
    threads = threading.active_count()
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with EmbeddedEngine(small, threads=1):
            pytest.fail("it was cancelled")
    assert threading.active_count() == threads


class FailingDecoder(Decoder):
    """A decoder that fails at every fourth token of a sequence."""

    failure: Exception

    def evaluate(self, pieces: Sequence[Piece]) -> bool:
        if pieces[0].position == 3:
            raise self.failure
        return super().evaluate(pieces)


async def test_a_batch_that_fails_is_an_error_for_its_requests_only(small: Path) -> None:
    library = bindings.load()
    model = Model(library, small)
    decoder = FailingDecoder(library, model, cells=256, sequences=4, threads=1, batch=32)
    decoder.failure = DecodeFailed("llama.cpp failed")
    scheduler = Scheduler(library, model, decoder, 4, MonotonicClock())
    thread = threading.Thread(target=scheduler.run, args=(Handover(),))
    thread.start()
    context = Context.of(Segment("a", (75,), Origin.client))
    mailbox = Mailbox()
    scheduler.submit(Request(context, 50), mailbox)
    text = ""
    with pytest.raises(EngineError, match=r"llama\.cpp failed") as caught:  # noqa: PT012  # reading is what raises
        async for chunk in mailbox:
            text += chunk.text
    assert caught.value.partial == text
    assert scheduler.counters.parked == 0
    scheduler.submit(Request(context, 2), mailbox := Mailbox())
    assert [chunk.finish is not None async for chunk in mailbox] == [False, True]
    scheduler.close()
    thread.join()
    decoder.close()
    model.close()


async def test_a_thread_that_dies_is_an_error_for_every_request(small: Path) -> None:
    library = bindings.load()
    model = Model(library, small)
    decoder = FailingDecoder(library, model, cells=256, sequences=4, threads=1, batch=32)
    decoder.failure = MemoryError("no memory")
    scheduler = Scheduler(library, model, decoder, 4, MonotonicClock())
    context = Context.of(Segment("a", (75,), Origin.client))
    mailboxes = [Mailbox(), Mailbox()]
    for mailbox in mailboxes:
        scheduler.submit(Request(context, 50), mailbox)
    thread = threading.Thread(target=scheduler.run, args=(Handover(),))
    thread.start()
    for mailbox in mailboxes:
        with pytest.raises(EngineError, match=r"thread died: MemoryError\('no memory'\)"):
            async for _ in mailbox:
                pass
    thread.join()
    with pytest.raises(EngineError, match="thread died"):
        scheduler.submit(Request(context, 5), Mailbox())
    decoder.close()
    model.close()


@given(st.lists(st.integers(1, 600), max_size=20), st.integers(0, 600))
def test_room_is_shared_fairly(wants: list[int], room: int) -> None:
    shares = share(wants, room)
    assert all(0 <= given <= want for given, want in zip(shares, wants, strict=True))
    assert sum(shares) == min(room, sum(wants))
    unmet = [given for given, want in zip(shares, wants, strict=True) if given < want]
    assert not unmet or max(shares) - min(unmet) <= 1


async def test_the_company_does_not_change_an_answer(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True) as engine:
        request = Request(plain(engine, "the plan"), 40, sampling=Sampling(1.0, top_k=50, top_p=0.95, seed=11))
        alone = await ask(engine, request)
        company = [replace(request, sampling=replace(request.sampling, seed=seed)) for seed in range(5)]
        again, *_ = await ask_all(engine, [rebuilt(request), *company])
        assert again.ids == alone.ids
