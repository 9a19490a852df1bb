"""The loop: decode, fork, branches, join, synthesis, further blocks; each context by its literal text."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from apr_agents.context import Context, Origin
from apr_agents.dialects import load_dialect
from apr_agents.engines.base import Request
from apr_agents.engines.scripted import Reply, ScriptedEngine
from apr_agents.runner import Budget
from apr_agents.trace import Block, Branch
from tests.support.scripts import THREADWEAVER, block, closed, ran, slow, spans_of

NESTING = replace(THREADWEAVER, nests=True)


@dataclass(frozen=True, slots=True)
class Case:
    """A run of two branches in one dialect, by hand."""

    block: str
    """What the model writes up to the fork."""
    headers: tuple[str, str]
    """What the client writes before each branch, for the branch itself."""
    close: str
    joined: str
    """What the joined context has behind the block, where the branches wrote ` 1+1=2` and ` 3-1=2`."""
    synthesis: str
    answer: str


CASES = {
    "threadweaver": Case(
        "<Parallel>\n<Outlines>\n<Outline>1: add</Outline>\n<Outline>2: take</Outline>\n</Outlines>",
        ("\n<Thread>1:", "\n<Thread>2:"),
        "</Thread>",
        "\n<Thread>1: 1+1=2</Thread>\n<Thread>2: 3-1=2</Thread>\n</Parallel>\n",
        "Both are 2.",
        "Both are 2.",
    ),
    "threadweaver-code": Case(
        "<Parallel>\n<Outlines>\n<Outline>1: add</Outline>\n<Outline>2: take</Outline>\n</Outlines>",
        ("\n<Thread>\n1:", "\n<Thread>\n2:"),
        "</Thread>",
        "\n<Thread>\n1: 1+1=2</Thread><Thread>\n2: 3-1=2</Thread>\n",
        "</Parallel>\nBoth are 2.",
        "Both are 2.",
    ),
    "multiverse": Case(
        "<Parallel>\n<Goal>\n<Outline>\n1: add\n</Outline>\n<Outline>\n2: take\n</Outline>\n</Goal>",
        ("\n<Path>\n1:", "\n<Path>\n2:"),
        "</Path>",
        "\n<Path>\n1: 1+1=2</Path>\n<Path>\n2: 3-1=2</Path>\n<Conclusion>\n",
        "Twice 2.\n</Conclusion>\n</Parallel>\nBoth are 2.",
        "Both are 2.",
    ),
    "parallel-r1": Case(
        "<Parallel>",
        ("<Path>", "<Path>"),
        "</Path>",
        "<Path> 1+1=2</Path><Path> 3-1=2</Path></Parallel>\n<Summary>",
        "Twice 2.</Summary>\nBoth are 2.",
        "Both are 2.",
    ),
    "npr": Case(
        "<guideline>\n<plan>1: add</plan>\n<plan>2: take</plan>\n</guideline>",
        ("\n<step>\n1:", "\n<step>\n2:"),
        "</step>",
        "\n<step>\n1: 1+1=2</step>\n<step>\n2: 3-1=2</step>\n<takeaway>\n",
        "Twice 2.\n</takeaway>\nBoth are 2.",
        "Both are 2.",
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_each_dialect_forks_and_joins_as_it_is_written(name: str) -> None:
    case, dialect = CASES[name], load_dialect(name)
    script = {
        "": [f"I see. {case.block}", case.synthesis],
        "1.1": f" 1+1=2{case.close}",
        "1.2": f" 3-1=2{case.close} never said",
    }
    done = await ran(script, dialect=dialect)
    parent = f"What is it?\nI see. {case.block}"
    assert done.asked == [
        ("", "What is it?\n"),
        ("1.1", parent + case.headers[0]),
        ("1.2", parent + case.headers[1]),
        ("", parent + case.joined),
    ]
    assert done.result.text == f"I see. {case.block}{case.joined}{case.synthesis}"
    assert (done.result.answer, done.result.ended) == (case.answer, "answered")
    assert done.result.trace.notes == ()


@pytest.mark.parametrize("name", CASES)
async def test_each_dialect_goes_on_with_further_blocks(name: str) -> None:
    case, dialect = CASES[name], load_dialect(name)
    script = {
        "": [case.block, f"{case.synthesis} {case.block}", case.synthesis],
        **{f"{number}.{branch}": case.close for number in (1, 2) for branch in (1, 2)},
    }
    done = await ran(script, dialect=dialect)
    assert [path for path, _ in done.asked] == ["", "1.1", "1.2", "", "2.1", "2.2", ""]
    assert done.result.answer == case.answer
    assert [(one.path, one.number) for one in done.result.trace.blocks] == [("", 1), ("", 2)]
    assert done.result.trace.notes == ()


@pytest.mark.parametrize("name", CASES)
async def test_a_branch_without_its_closing_tag_is_closed_by_the_client(name: str) -> None:
    case, dialect = CASES[name], replace(load_dialect(name), truncated="close")
    done = await ran({"": [case.block, case.synthesis], "1.1": " 1+1=2", "1.2": " 3-1=2"}, dialect=dialect)
    assert done.result.text == f"{case.block}{case.joined}{case.synthesis}"
    assert [one.branch.outcome for one in done.result.outcomes] == ["truncated", "truncated"]
    assert done.result.ended == "answered"


async def test_a_run_without_a_block_is_sequential_and_says_so() -> None:
    done = await ran({"": "Two."})
    assert (done.result.answer, done.result.text, done.result.ended) == ("Two.", "Two.", "answered")
    assert done.result.trace.notes == ("the model opened no block: the run was sequential",)
    assert done.result.trace.blocks == ()


async def test_sequential_mode_reads_no_tag() -> None:
    done = await ran({"": f"{block('a')} and on"}, mode="sequential")
    assert done.result.text == f"{block('a')} and on"
    assert [request.stops for request in done.engine.requests] == [()]
    assert done.result.trace.notes == ()


async def test_blocks_nest_where_the_dialect_lets_them() -> None:
    script = {
        "": [block("a", "b"), "end"],
        "1.1": [f" so {block('x', 'y')}", closed(" both")],
        "1.1/1.1": closed(" x is 1"),
        "1.1/1.2": closed(" y is 2"),
        "1.2": closed(" b is 3"),
    }
    done = await ran(script, dialect=NESTING)
    inner = (
        f" so {block('x', 'y')}\n<Thread>1: x is 1</Thread>\n<Thread>2: y is 2</Thread>\n</Parallel>\n both</Thread>"
    )
    assert done.result.text == f"{block('a', 'b')}\n<Thread>1:{inner}\n<Thread>2: b is 3</Thread>\n</Parallel>\nend"
    assert done.result.trace.blocks == (Block("", 1, "all", None), Block("1.1", 1, "all", None))
    assert [branch.path for branch in done.result.trace.branches] == ["1.1", "1.1/1.1", "1.1/1.2", "1.2"]
    first, second = done.result.outcomes
    assert [branch.path for branch in first.branches] == ["1.1/1.1", "1.1/1.2"]
    assert second.branches == ()


async def test_blocks_nest_no_deeper_than_the_budget() -> None:
    def reply(request: Request) -> str:
        return block("deeper") if len(engine.requests) < 12 else closed(" end")

    engine = ScriptedEngine(reply, NESTING)
    done = await ran(engine, dialect=NESTING, budget=Budget(depth=3))
    assert max(request.path.depth for request in engine.requests) == 3
    assert any("nested-too-deep" in note for note in done.result.trace.notes)


async def test_a_dialect_that_does_not_nest_has_no_blocks_in_branches() -> None:
    script = {"": [block("a"), "end"], "1.1": closed(f" {block('x')} and")}
    done = await ran(script)
    assert done.result.outcomes[0].text == closed(f" {block('x')} and")
    assert done.engine.requests[1].stops == ("</Thread>",)
    assert done.result.trace.notes == ("branch 1.1: nested-too-deep at 1: blocks go 1 deep at most",)


@pytest.mark.parametrize(
    ("plan", "note"),
    [
        ("<Parallel>\n<Outlines>\n</Outlines>", "no-outlines"),
        ("<Parallel>\n<Outlines>\n<Outline>add</Outline>\n</Outlines>", "no-number"),
        ("<Parallel>\n<Outlines>\n<Outline>-1: add</Outline>\n</Outlines>", "bad-number"),
        ("<Outlines>\n<Outline>1: add</Outline>\n</Outlines>", "stray-tag"),
        ("<Parallel>\n</Outlines>", "no-outlines"),
        ("</Outlines>", "stray-tag"),
        ("<Parallel>\n<Outlines>\n<Outline>1: " + "x" * 5000 + "</Outline>\n</Outlines>", "outline-too-long"),
    ],
)
async def test_a_malformed_plan_goes_on_as_text(plan: str, note: str) -> None:
    done = await ran({"": [f"so {plan}", " and on", "never"]})
    assert done.result.text == f"so {plan} and on"
    assert done.result.ended == "answered"
    assert [span[0] for span in spans_of(done.result.trace, "")] == ["client", "decode", "decode"]
    assert any(one.startswith(note) for one in done.result.trace.notes)
    assert done.result.trace.branches == ()


async def test_what_is_repaired_forks_and_is_noted() -> None:
    plan = "<Parallel>\n<Outlines>\n<Outline>1: a\n<Outline>1: again</Outline>\n<Outline>03: c</Outline>\n</Outlines>"
    done = await ran({"": [plan, "end"], "1.1": closed(" a"), "1.2": closed(" c")})
    assert [(one.branch.number, one.branch.outline) for one in done.result.outcomes] == [("1", "a"), ("03", "c")]
    assert done.asked[2][1].endswith("\n<Thread>03:")
    kinds = [note.split(" at ")[0] for note in done.result.trace.notes]
    assert kinds == ["unclosed-outline", "duplicate-number", "bad-number", "missing-number"]


async def test_the_parent_ends_before_its_children_start() -> None:
    open_at: list[tuple[str, int]] = []

    class Watched(ScriptedEngine):
        def _reply(self, request: Request) -> Reply:
            open_at.append((str(request.path), self.open_requests))
            return super()._reply(request)

    script = {"": [block("a", "b"), "end"], "1.1": slow("a", 1), "1.2": slow("b", 1)}
    await ran(Watched(script, THREADWEAVER))
    assert open_at == [("", 1), ("1.1", 1), ("1.2", 2), ("", 1)]


async def test_ids_are_concatenated_and_never_made_again() -> None:
    class Odd(ScriptedEngine):
        """Encodes each text to ids of its own, so that what is encoded twice is seen."""

        count = 0

        def encode(self, text: str, *, control: bool) -> tuple[int, ...]:
            Odd.count += 1
            return (Odd.count * 1000, *super().encode(text, control=control))

    engine = Odd({"": [block("a", "b"), "end"], "1.1": closed(" a"), "1.2": closed(" b")}, THREADWEAVER)
    done = await ran(engine)
    root, first, second, joined = (request.context for request in engine.requests)
    assert first.ids[: root.tokens] == root.ids
    shared = first.parent
    assert shared is not None
    assert second.parent is shared
    assert joined.ids[: first.tokens] == first.ids
    generated = [segment.ids for segment in joined.segments if segment.origin is Origin.branch]
    assert generated == [done.result.outcomes[1].segments[0].ids]
    assert done.result.trace.response is not None
    assert joined.ids[root.tokens :] == done.result.trace.response[: joined.tokens - root.tokens]
    assert len(joined.ids) == joined.tokens


async def test_branches_share_the_links_of_their_parent() -> None:
    done = await ran({"": [block("a", "b"), "end"], "1.1": closed(" a"), "1.2": closed(" b")})
    root, first, second, joined = (request.context for request in done.engine.requests)
    assert _links(root) < _links(first) & _links(second) & _links(joined)
    assert len(_links(first) & _links(second)) == 2
    assert len(_links(first) & _links(joined)) == 3


def _links(context: Context) -> set[int]:
    return {id(link) for link in context.links()}


@pytest.mark.parametrize("concurrency", [1, 20])
async def test_the_engine_evaluates_no_token_twice_that_it_could_reuse(concurrency: int) -> None:
    script = {"": [block("a", "b"), "end"], "1.1": slow("a", 1), "1.2": slow("b", 2)}
    done = await ran(script, budget=Budget(concurrency=concurrency))
    tokens = [span.tokens for span in done.result.trace.spans if span.tokens]
    assert [one.cached for one in tokens] == [one.reusable for one in tokens]
    # The parent's last token has no cache yet; a header is a line break, the tag, the number and the colon, of which
    # the second branch shares two with the first one if that has ended.
    _, first, second, synthesis = (one.prompt - (one.cached or 0) for one in tokens)
    assert (first, second) == (5, 5 if concurrency > 1 else 2)
    # The first branch's closing tag, the second branch with its header, and the tail.
    assert synthesis == 1 + 6 + 3


async def test_spans_edges_and_times_are_exact() -> None:
    script = {
        "": [Reply(block("a", "b"), prefill_seconds=1.0), Reply("end", token_seconds=0.5, prefill_seconds=1.0)],
        "1.1": slow("a", 2),
        "1.2": slow("b", 5),
    }
    done = await ran(script)
    trace = done.result.trace
    assert [(s.id, s.kind.value, s.start, s.end, [(e.span, e.kind) for e in s.after]) for s in trace.spans] == [
        ("#1", "client", 0.0, 0.0, []),
        ("#2", "decode", 0.0, 7.0, [("#1", "then")]),
        ("1.1#1", "decode", 7.0, 9.0, [("#2", "fork")]),
        ("1.2#1", "decode", 7.0, 12.0, [("#2", "fork")]),
        ("#3", "client", 12.0, 12.0, [("1.1#1", "join"), ("1.2#1", "join")]),
        ("#4", "synthesis", 12.0, 23.0, [("#3", "then")]),
    ]
    assert trace.wall == 23.0
    assert trace.branches == (
        Branch("1.1", "1", "a", "reason", "done", joined=True),
        Branch("1.2", "2", "b", "reason", "done", joined=True),
    )


async def test_waiting_for_a_place_is_a_span() -> None:
    script = {"": [block("a", "b", "c"), "end"], **{f"1.{n}": slow("a", 2) for n in (1, 2, 3)}}
    done = await ran(script, budget=Budget(concurrency=1))
    assert spans_of(done.result.trace, "1.1") == [("decode", 0.0, 2.0, "done")]
    assert spans_of(done.result.trace, "1.2") == [("queue", 0.0, 2.0, "done"), ("decode", 2.0, 4.0, "done")]
    assert spans_of(done.result.trace, "1.3") == [("queue", 0.0, 4.0, "done"), ("decode", 4.0, 6.0, "done")]


async def test_an_end_of_text_in_a_branch_is_not_joined() -> None:
    done = await ran({"": [block("a"), "end"], "1.1": " cut"})
    (outcome,) = done.result.outcomes
    end = done.engine.encode("", control=True)
    assert end == ()
    cut, close = outcome.segments
    assert cut.ids == done.engine.encode(" cut", control=False)
    assert close.text == "</Thread>"
    assert outcome.tokens == 3


async def test_an_empty_branch_keeps_its_header() -> None:
    done = await ran({"": [block("a"), "end"], "1.1": ""})
    assert done.result.text == f"{block('a')}\n<Thread>1:</Thread>\n</Parallel>\nend"
    assert done.engine.requests[-1].context.ids == done.engine.encode(done.asked[-1][1], control=True)


async def test_the_same_seed_gives_the_same_requests() -> None:
    script = {"": [block("a", "b"), "end"], "1.1": closed(" a"), "1.2": closed(" b")}
    one, same, other = [await ran(script, seed=seed) for seed in (7, 7, 8)]
    seeds = [[request.sampling.seed for request in done.engine.requests] for done in (one, same, other)]
    assert seeds[0] == seeds[1]
    assert len({*seeds[0], *seeds[2]}) == 8
    assert one.result.text == same.result.text
