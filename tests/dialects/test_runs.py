"""Each dialect from end to end: what the driver joins is, read back as a transcript, well formed."""

from __future__ import annotations

import pytest

from apr_agents import Settings, load_dialect, run
from apr_agents.dialects.transcript import parse
from apr_agents.engines.scripted import ScriptedEngine
from tests.dialects.reading import DIALECTS

PLANS = {
    "threadweaver": ("<Parallel>\n<Outlines>\n<Outline>1: a</Outline>\n<Outline>2: b</Outline>\n</Outlines>", "so 3"),
    "threadweaver-code": (
        "<Parallel>\n<Outlines>\n<Outline>1: a</Outline>\n<Outline>2: b</Outline>\n</Outlines>",
        "</Parallel>\nso 3",
    ),
    "multiverse": (
        "<Parallel>\n<Goal>\n<Outline>\n1: a\n</Outline>\n<Outline>\n2: b\n</Outline>\n</Goal>",
        "both\n</Conclusion>\n</Parallel>\nso 3",
    ),
    "parallel-r1": ("<Parallel>", "both</Summary>\nso 3"),
    "npr": ("<guideline>\n<plan>1: a</plan>\n<plan>2: b</plan>\n</guideline>", "both\n</takeaway>\nso 3"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", DIALECTS)
async def test_a_run_reads_back_as_a_well_formed_transcript(name: str) -> None:
    dialect = load_dialect(name)
    plan, after = PLANS[name]
    close = dialect.tags.branch_close
    engine = ScriptedEngine({"": [f"First.\n{plan}", after], "1.1": f" one{close}", "1.2": f" two{close}"}, dialect)
    async with engine:
        result = await run(engine, "?", Settings(dialect))
    assert result.ok
    transcript = parse(result.text, dialect)
    assert transcript.verdicts == ()
    assert [branch.text.strip() for block in transcript.blocks for branch in block.branches] == ["one", "two"]
    assert result.text.endswith("so 3")
