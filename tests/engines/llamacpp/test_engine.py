"""The embedded engine on random models: exact ids, stops, seeds, limits, errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines.base import Message, Request, Sampling
from apr_agents.engines.llamacpp import EmbeddedEngine
from apr_agents.errors import ContextError, ContextFull, EngineError, EngineUnavailable, UsageError
from tests.support.asking import ask, ask_all, plain
from tests.support.random_gguf import RandomModel, write

WARM = Sampling(temperature=1.0, seed=7)


async def test_ids_and_text_are_exact(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True) as engine:
        request = Request(plain(engine, "the plan"), max_tokens=40, sampling=WARM)
        answer = await ask(engine, request)
        assert (answer.finish.reason, answer.finish.matched) == ("length", None)
        assert len(answer.ids) == answer.finish.usage.generated == 40
        assert all(len(chunk.ids or ()) == 1 for chunk in answer.chunks)
        known = engine.encode("\n", control=True)
        assert len(known) == 1
        timings = answer.finish.timings
        assert all(seconds is not None and seconds >= 0 for seconds in (timings.queue, timings.prefill, timings.decode))


async def test_a_stop_string_ends_the_text_in_the_token_in_which_it_ends(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True) as engine:
        request = Request(plain(engine, "the plan"), max_tokens=60, sampling=WARM)
        free = await ask(engine, request)
        for number, chunk in enumerate(free.chunks[2:30], start=2):
            if not chunk.text or "\ufffd" in chunk.text:
                continue
            stop = chunk.text[0]
            first = next(place for place, other in enumerate(free.chunks) if stop in other.text)
            answer = await ask(engine, replace(request, stops=(stop, "never said")))
            assert answer.ids == free.ids[: first + 1], f"stop {stop!r} of token {number}"
            assert answer.text == "".join(other.text for other in free.chunks[: first + 1])
            assert (answer.finish.reason, answer.finish.matched) == ("stop", stop)


async def test_a_stop_string_over_several_tokens(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True) as engine:
        request = Request(plain(engine, "the plan"), max_tokens=200, sampling=WARM)
        free = await ask(engine, request)
        threes = [free.chunks[place : place + 3] for place in range(len(free.chunks) - 3)]
        stops = ["".join(chunk.text for chunk in three) for three in threes if all(c.text.isprintable() for c in three)]
        stop = next(stop for stop in stops if stop.isascii() and len(stop) > 2)
        answer = await ask(engine, replace(request, stops=(stop,)))
        assert answer.finish.matched == stop
        assert answer.text == free.text[: free.text.index(stop) + len(stop)]


async def test_a_stop_id_ends_the_text_and_is_kept_with_its_tag(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True) as engine:
        (tag,) = engine.encode("</Thread>", control=True)
        sampling = Sampling(temperature=5.0)
        requests = [
            Request(plain(engine, "a"), 200, stop_ids=(tag,), sampling=replace(sampling, seed=seed))
            for seed in range(12)
        ]
        stopped = [answer for answer in await ask_all(engine, requests) if answer.finish.matched is not None]
        assert stopped
        for answer in stopped:
            assert answer.finish.matched == "</Thread>"
            assert answer.text.endswith("</Thread>")
            assert answer.ids.index(tag) == len(answer.ids) - 1


async def test_the_end_of_text_is_in_the_ids_and_not_in_the_text(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True) as engine:
        (end,) = engine.encode("<eos>", control=True)
        sampling = Sampling(temperature=5.0)
        requests = [Request(plain(engine, "a"), 200, sampling=replace(sampling, seed=seed)) for seed in range(12)]
        ended = [answer for answer in await ask_all(engine, requests) if answer.finish.reason == "stop"]
        assert ended
        for answer in ended:
            assert answer.finish.matched is None
            assert answer.ids[-1] == end
            assert end not in answer.ids[:-1]
            assert "<eos>" not in answer.text


async def test_text_is_whole_characters_and_control_tags_are_kept(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True) as engine:
        request = Request(plain(engine, "a"), 400, sampling=Sampling(temperature=5.0, seed=1))
        answer = await ask(engine, request)
        assert answer.text.encode().decode() == answer.text
        (tag,) = engine.encode("<Outline>", control=True)
        assert answer.text.count("<Outline>") >= answer.ids.count(tag)
        tagged = await ask(engine, replace(request, stop_ids=(tag,), max_tokens=900))
        assert tagged.text.endswith("<Outline>")


async def test_a_seed_repeats_and_another_differs(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True) as engine:
        request = Request(plain(engine, "the"), 40, sampling=Sampling(temperature=1.0, seed=2**63 + 5))
        alone = await ask(engine, request)
        others = [replace(request, sampling=replace(request.sampling, seed=seed)) for seed in range(5)]
        again, *different = await ask_all(engine, [request, *others])
        assert again.ids == alone.ids
        assert len({alone.ids, *(answer.ids for answer in different)}) == 6


@pytest.mark.parametrize("sampling", [Sampling(2.0, top_k=1, seed=3), Sampling(2.0, top_p=1e-6, seed=3)])
async def test_top_k_and_top_p_leave_only_the_likeliest(small: Path, sampling: Sampling) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True) as engine:
        request = Request(plain(engine, "the"), 20)
        assert (await ask(engine, replace(request, sampling=sampling))).ids == (await ask(engine, request)).ids


async def test_a_deadline_that_passed_ends_the_request_at_once(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True) as engine:
        request = Request(plain(engine, "the"), 20, deadline=engine.clock.now())
        with pytest.raises(EngineError, match="deadline"):
            await ask(engine, request)


async def test_a_deadline_ends_a_request_within_a_step_and_keeps_its_text(tmp_path: Path) -> None:
    path = write(tmp_path / "long.gguf", RandomModel(context=32_768, quiet=True))
    async with EmbeddedEngine(path, threads=1) as engine:
        request = Request(plain(engine, "the"), 32_000, deadline=engine.clock.now() + 0.1)
        text = ""
        with pytest.raises(EngineError, match="deadline") as caught:  # noqa: PT012  # reading is what raises
            async with engine.stream(request) as stream:
                async for chunk in stream:
                    text += chunk.text
        assert caught.value.partial == text


async def test_a_context_that_leaves_no_room(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True, context_tokens=256) as engine:
        window = engine.info.window
        assert window == 256
        with pytest.raises(ContextFull, match="the context has 256 tokens and the window 256"):
            await ask(engine, Request(plain(engine, "x" * 256), 1))
        assert (await ask(engine, Request(plain(engine, "x" * 255), 1))).finish.reason == "length"


async def test_an_answer_that_reaches_the_window_fails_and_keeps_its_text(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True, context_tokens=256) as engine:
        text = ""
        with pytest.raises(ContextFull, match="context_tokens") as caught:  # noqa: PT012  # reading is what raises
            async with engine.stream(Request(plain(engine, "x" * 200), 100, sampling=WARM)) as stream:
                async for chunk in stream:
                    text += chunk.text
        assert caught.value.partial == text
        assert (await ask(engine, Request(plain(engine, "x" * 200), 10, sampling=WARM))).finish.reason == "length"


@pytest.mark.parametrize(
    ("segment", "says"),
    [
        (Segment("", (), Origin.client), "has no tokens"),
        (Segment("", (1, 10_000), Origin.client), "comes from another model"),
        (Segment("", (1, -1), Origin.client), "comes from another model"),
    ],
)
async def test_a_context_that_the_model_cannot_have_fails_alone(small: Path, segment: Segment, says: str) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True) as engine:
        with pytest.raises(EngineError, match=says):
            await ask(engine, Request(Context.of(segment), 5))
        assert (await ask(engine, Request(plain(engine, "a"), 5))).finish.reason == "length"


async def test_a_context_without_ids_fails_alone(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True) as engine:
        mixed = plain(engine, "a").extend(Segment("text only", None, Origin.client))
        with pytest.raises(EngineError, match="no token ids"):
            await ask(engine, Request(mixed, 5))
        with pytest.raises(ContextError):
            _ = mixed.ids


async def test_a_prompt_is_in_the_files_own_template_and_its_text_is_data(small: Path) -> None:
    async with EmbeddedEngine(small, threads=1, exact=True) as engine:
        context = engine.prompt([Message("user", "a<Thread><eos>")], {"mode": "b"})
        assert context.text == "<bos><user>a<Thread><eos><Thread>b"
        (bos,) = engine.encode("<bos>", control=True)
        (thread,) = engine.encode("<Thread>", control=True)
        (end,) = engine.encode("<eos>", control=True)
        assert [context.ids.count(token) for token in (bos, thread, end)] == [1, 1, 0]
        assert {segment.origin for segment in context.segments} == {Origin.client}


@pytest.mark.parametrize("template", ["{{ bos_token }}{{ messages[0].content }}", "{{ messages[0].content }}"])
async def test_a_model_that_wants_a_beginning_of_text_gets_one(tmp_path: Path, template: str) -> None:
    path = write(tmp_path / "bos.gguf", RandomModel(template=template, add_bos=True))
    async with EmbeddedEngine(path, threads=1) as engine:
        assert engine.prompt([Message("user", "a")], {}).ids == (1, *engine.encode("a", control=False))


async def test_a_model_without_a_template_says_how_to_get_one(tmp_path: Path) -> None:
    path = write(tmp_path / "base.gguf", RandomModel(template=None))
    async with EmbeddedEngine(path, threads=1) as engine:
        with pytest.raises(EngineError, match=r"base\.gguf has no chat template; use a GGUF of a chat model"):
            engine.prompt([Message("user", "a")], {})


async def test_what_an_engine_says_of_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "named.gguf", RandomModel(metadata={"apr.dialect": "threadweaver"}, context=512))
    engine = EmbeddedEngine(path, threads=1)
    assert (engine.info.name, engine.info.window) == ("embedded:named", None)
    async with engine:
        assert engine.info.name == "embedded:random"
        assert (engine.info.window, engine.info.dialects, engine.info.page) == (512, ("threadweaver",), 1)


async def test_an_engine_is_open_inside_its_block_only(small: Path) -> None:
    engine = EmbeddedEngine(small, threads=1, exact=True)
    for _ in range(2):
        with pytest.raises(EngineError, match="async with"):
            engine.encode("a", control=False)
        async with engine:
            with pytest.raises(UsageError, match="open already"):
                await engine.__aenter__()
            assert (await ask(engine, Request(plain(engine, "a"), 3))).finish.reason == "length"


async def test_a_file_that_is_no_model_fails_when_the_engine_is_opened(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(EngineUnavailable, match="is not a GGUF file"):
        async with EmbeddedEngine(tmp_path / "text.gguf", threads=1):
            pass


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sequences": 257}, "sequences is 257; the embedded engine takes 1 to 256"),
        ({"sequences": 0}, "sequences is 0"),
        ({"context_tokens": 0}, "context_tokens is 0"),
        ({"context_tokens": 2**40}, "context_tokens is 1099511627776"),
        ({"threads": -1}, "threads is -1"),
        ({"batch": 0}, "batch is 0"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, int], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        EmbeddedEngine(None, **settings)
