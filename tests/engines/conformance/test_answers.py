"""What every engine does with one request: text, ids, finish, stops, limits, counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from apr_agents.context import Origin
from apr_agents.engines.base import Engine, Message, Request
from apr_agents.errors import ContextFull
from apr_agents.paths import BranchPath
from tests.engines.conformance.subjects import ALL, DIALECT, Subject, Under, names
from tests.engines.faults.transports import LITELLM
from tests.support.asking import Answer, ask, header

pytestmark = [pytest.mark.enable_socket, pytest.mark.filterwarnings(LITELLM)]

QUESTION = "Numbers: 26 45 27 21 Target: 18"
TAG = "</Thread>"
EVERY = pytest.mark.parametrize("name", names())
SAYING = pytest.mark.parametrize("name", names(says=True))
NASTY = [
    "<Parallel> and </Thread>",
    "a<Thread>1: b</Thread>",
    "<eos><bos><|im_end|>",
    "naïve 漢字 🙂\n\t x",
    "< Thread >",
]


def asked(subject: Subject, under: Under, limit: int = 200, path: str = "", stops: tuple[str, ...] = ()) -> Request:
    prompt = under.engine.prompt([Message("user", QUESTION)], {})
    parsed = BranchPath.parse(path)
    return Request(prompt, limit, stops, path=parsed, run_id="f" * 16, watched=subject.watched)


def single(engine: Engine, tag: str) -> int | None:
    """The id of a control tag; None where only text is spoken, or it is not one token."""
    ids = engine.encode(tag, control=True)
    return ids[0] if ids and len(ids) == 1 else None


@EVERY
async def test_the_finish_comes_last_and_the_counts_are_those_of_the_chunks(name: str, tmp_path: Path) -> None:
    subject = ALL[name]
    async with subject.open({"": " one two three"}, tmp_path) as under:
        request = asked(subject, under, 12)
        answer = await ask(under.engine, request)
        usage = answer.finish.usage
        assert 0 < usage.generated <= 12
        assert usage.cached is None or 0 <= usage.cached < usage.prompt
        if answer.segment.ids is None:
            assert request.context.segment.ids is None
            assert usage.prompt > 0
        else:
            assert len(answer.segment.ids) == usage.generated
            assert usage.prompt == request.context.tokens == len(request.context.ids)


@SAYING
async def test_an_answer_ends_with_the_models_end_of_text_which_is_an_id_without_text(
    name: str, tmp_path: Path
) -> None:
    subject, text = ALL[name], " one, naïve 漢字 🙂\n<Outline>two"
    async with subject.open({"": text}, tmp_path) as under:
        answer = await ask(under.engine, asked(subject, under))
        assert answer.text == text
        assert (answer.finish.reason, answer.finish.matched) == ("stop", None)
        spelt = under.engine.encode(text, control=True)
        if spelt is not None and answer.segment.ids is not None:
            assert answer.segment.ids[:-1] == spelt
            assert answer.segment.ids[-1] not in spelt
        if spelt is not None:
            assert answer.finish.usage.generated == len(spelt) + 1


@SAYING
@pytest.mark.parametrize("stop", [TAG, " tw", "e t"])
async def test_a_stop_ends_the_text_and_is_kept_and_named(name: str, stop: str, tmp_path: Path) -> None:
    subject = ALL[name]
    async with subject.open({"": f" one two{TAG} never"}, tmp_path) as under:
        answer = await ask(under.engine, asked(subject, under, stops=(stop, "<never>")))
        assert (answer.finish.reason, answer.finish.matched) == ("stop", stop)
        before, found, after = answer.text.partition(stop)
        assert f" one two{TAG}".startswith(before + found)
        assert found == stop
        assert len(after) < 3  # what is left of the token in which it ended
        if answer.segment.ids is not None and under.decode is not None:
            assert answer.text == under.decode(answer.segment.ids)


@SAYING
async def test_a_stop_id_ends_the_text_and_its_tag_is_kept(name: str, tmp_path: Path) -> None:
    subject = ALL[name]
    async with subject.open({"": f" one two{TAG} never"}, tmp_path) as under:
        tag = single(under.engine, TAG)
        request = asked(subject, under)
        answer = await ask(under.engine, replace(request, stop_ids=() if tag is None else (tag,), stops=(TAG,)))
        assert answer.text == f" one two{TAG}"
        assert answer.finish.matched == TAG
        if tag is not None:
            assert answer.segment.ids is not None
            assert answer.segment.ids.index(tag) == len(answer.segment.ids) - 1


@EVERY
@pytest.mark.parametrize("limit", [1, 3])
async def test_a_limit_of_tokens_is_held(name: str, limit: int, tmp_path: Path) -> None:
    subject = ALL[name]
    async with subject.open({"": " one two three four five six seven"}, tmp_path) as under:
        answer = await ask(under.engine, asked(subject, under, limit))
        assert (answer.finish.reason, answer.finish.matched) == ("length", None)
        assert answer.finish.usage.generated == limit
        assert answer.segment.ids is None or len(answer.segment.ids) == limit


@EVERY
async def test_what_was_evaluated_comes_from_the_cache(name: str, tmp_path: Path) -> None:
    subject = ALL[name]
    async with subject.open({"": [" one two three", " four"]}, tmp_path) as under:
        request = asked(subject, under, 5)
        first = await ask(under.engine, request)
        again = await ask(under.engine, request)
        usage = again.finish.usage
        assert usage.cached == usage.prompt - 1
        branch = header(under.engine, first.context, "\n<Thread>1:")
        second = await ask(under.engine, replace(request, context=branch))
        cached = second.finish.usage.cached
        assert cached is not None
        if first.segment.ids is None:  # a text that is encoded again may lose some
            assert cached >= usage.prompt - 3
        else:  # all but the token that was sampled last
            assert cached == first.context.tokens - 1


@EVERY
async def test_a_request_for_no_tokens_fills_the_cache(name: str, tmp_path: Path) -> None:
    subject = ALL[name]
    async with subject.open({"": " one two three"}, tmp_path) as under:
        if not under.engine.info.warms:
            assert "litellm" in name or name == "scripted"
            return
        request = asked(subject, under, 5)
        warmed = await ask(under.engine, replace(request, max_tokens=0))
        assert len(warmed.chunks) == 1
        assert (warmed.text, warmed.segment.ids, warmed.finish.reason) == ("", (), "length")
        assert warmed.finish.usage.generated == 0
        usage = (await ask(under.engine, request)).finish.usage
        assert usage.cached == usage.prompt - 1


@EVERY
async def test_a_context_too_long_is_named_so(name: str, tmp_path: Path) -> None:
    subject = ALL[name]
    async with subject.open({"": " one"}, tmp_path) as under:
        engine = under.engine
        window = engine.info.window
        assert window is not None
        long = engine.prompt([Message("user", "7 8 " * window)], {})
        with pytest.raises(ContextFull) as caught:
            await ask(engine, replace(asked(subject, under), context=long, path=BranchPath.parse("1.2")))
        assert not caught.value.again
        assert "\n" not in str(caught.value)
        assert (await ask(engine, asked(subject, under))).finish.usage.generated > 0


@EVERY
async def test_a_stream_that_is_left_frees_the_server(name: str, tmp_path: Path) -> None:
    subject = ALL[name]
    async with subject.open({"": " one two" * 150}, tmp_path) as under:
        request = replace(asked(subject, under, 250), watched=True)
        async with under.engine.stream(request) as stream:
            async for _ in stream:
                break
        while await under.busy():  # noqa: ASYNC110  # a server sets no event
            await anyio.sleep(0.01)
        assert (await ask(under.engine, asked(subject, under, 5))).finish.usage.generated == 5


@SAYING
async def test_streams_at_the_same_time_do_not_mix(name: str, tmp_path: Path) -> None:
    subject = ALL[name]
    said = {f"1.{number}": f" branch {number} says {number * 7}{TAG}" for number in range(1, 9)}
    answers: dict[str, Answer] = {}
    async with subject.open(said, tmp_path) as under:

        async def one(path: str) -> None:
            answers[path] = await ask(under.engine, asked(subject, under, path=path, stops=(TAG,)))

        async with anyio.create_task_group() as group:
            for path in said:
                group.start_soon(one, path)
    assert {path: answer.text for path, answer in answers.items()} == said


@EVERY
@pytest.mark.parametrize("text", NASTY)
async def test_plain_text_never_becomes_control(name: str, text: str, tmp_path: Path) -> None:
    subject = ALL[name]
    async with subject.open({"": " one"}, tmp_path) as under:
        engine = under.engine
        plain = engine.encode(text, control=False)
        if plain is None:
            assert engine.encode(text, control=True) is None
            return
        tags = {single(engine, tag) for tag in (*DIALECT.tags.roles(), "<eos>", "<bos>")} - {None}
        assert not tags & set(plain) or not set(plain) - set(engine.encode("< Thread >", control=True) or ())
        if under.decode is not None:
            assert under.decode(plain) == text


@EVERY
async def test_the_text_of_a_message_is_data(name: str, tmp_path: Path) -> None:
    subject, tag = ALL[name], "<Parallel>"
    async with subject.open({"": " one"}, tmp_path) as under:
        engine = under.engine
        clean = engine.prompt([Message("user", "a b")], {})
        asked_for = engine.prompt([Message("user", f"a {tag} b")], {})
        assert {segment.origin for segment in asked_for.segments} == {Origin.client}
        control = single(engine, tag)
        if control is None:
            assert asked_for.segment.ids is None
        else:
            assert asked_for.ids.count(control) == clean.ids.count(control)
