"""Dialect files: the shipped ones load and are sound, and each fault in one gets a line that says where and how."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import yaml

from apr_agents.dialects import dialect_names, load_dialect
from apr_agents.dialects.load import read_dialect
from apr_agents.dialects.parser import Parser
from apr_agents.errors import DialectError
from apr_agents.events import BranchClosed, BranchOpened, Closed, Concluded, Fork, Opened
from tests.dialects.reading import DIALECTS, read, verdicts

SHIPPED = ("apr", "asyncthink", "multiverse", "npr", "parallel-r1", "parathinker", "threadweaver", "threadweaver-code")
SOUND = """\
name: own
source: mine
tags:
  block_open: "<B>"
  block_close: "</B>"
  outlines_open: "<L>"
  outlines_close: "</L>"
  outline_open: "<O>"
  outline_close: "</O>"
  branch_open: "<T>"
  branch_close: "</T>"
branch_header: "<T>{n}:"
join_header: "<T>{n}:"
join_tail: "</B>"
"""


def test_these_are_shipped() -> None:
    assert dialect_names() == SHIPPED
    assert tuple(name for name in SHIPPED if load_dialect(name).reads) == tuple(sorted(DIALECTS))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_dialect_is_named_as_its_file_and_names_its_source(name: str) -> None:
    dialect = load_dialect(name)
    assert dialect.name == name
    assert "arXiv" in dialect.source or "github" in dialect.source or "/" in dialect.source


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_that_runs_is_taught_by_an_example_that_it_reads(name: str) -> None:
    """What `teach` shows is well formed, as far as the model is to write it."""
    dialect = load_dialect(name)
    assert dialect.teach is not None
    tags = dialect.tags
    fork_tag = dialect.fork_tag
    assert fork_tag is not None
    start = dialect.teach.index(f"{tags.block_open}\n" if tags.outlines_open else f"{tags.block_open}<")
    end = dialect.teach.index(fork_tag, start) + len(fork_tag)
    (fork,) = (event for event in Parser(dialect).feed(dialect.teach[start:end]) if isinstance(event, Fork))
    assert len(fork.outlines) == 2
    assert "@name {" in dialect.teach


@pytest.mark.parametrize("name", DIALECTS)
def test_what_the_client_writes_is_what_the_parser_reads(name: str) -> None:
    """The dialect's own glue around two branches makes a well-formed block."""
    dialect = load_dialect(name)
    tags = dialect.tags
    plan = "".join(f"{tags.outline_open}{n}: a{tags.outline_close}" for n in (1, 2)) if tags.outline_open else ""
    opened = tags.outlines_open if tags.outlines_open not in (None, tags.block_open) else ""
    block = f"{tags.block_open}{opened}{plan}{tags.outlines_close or ''}"
    block += dialect.branch_header.replace("{n}", "1") + " x" + tags.branch_close
    block += dialect.join_header.replace("{n}", "2") + " y" + tags.branch_close + dialect.join_tail
    if dialect.conclusion != "none":
        block += f"both{tags.conclusion_close}"
    if dialect.closed_by == "model" and tags.block_close != tags.conclusion_close:
        block += tags.block_close or ""
    events = read(dialect, [block])
    assert not verdicts(events)
    kinds = [type(event) for event in events]
    for kind, times in ((Opened, 1), (Fork, 1), (BranchOpened, 2), (BranchClosed, 2), (Closed, 1)):
        assert kinds.count(kind) == times
    assert kinds.count(Concluded) == (dialect.conclusion != "none")


def test_a_file_of_ones_own_loads_by_path_or_by_name(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(SOUND, encoding="utf-8")
    assert load_dialect(file) == load_dialect(str(file))
    assert load_dialect(file).tags.branch_open == "<T>"


FAULTS = cast(
    "dict[str, dict[str, str]]",
    yaml.safe_load((Path(__file__).parent / "faults.yaml").read_text(encoding="utf-8")),
)
WHOLE = {"*": SOUND, "tags*": SOUND[SOUND.index("tags:") : SOUND.index("branch_header")]}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_one_line_that_names_file_key_and_mend(name: str) -> None:
    fault = FAULTS[name]
    old = WHOLE.get(fault["old"], fault["old"])
    assert old in SOUND
    with pytest.raises(DialectError) as caught:
        read_dialect(SOUND.replace(old, fault["new"], 1), "own.yaml")
    assert fault["says"] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bomb_of_brackets_is_no_dialect() -> None:
    with pytest.raises(DialectError, match=r"own\.yaml.*not YAML"):
        read_dialect("[" * 5000, "own.yaml")


def test_a_yaml_tag_makes_no_object() -> None:
    """A foreign tag is read as the text that it stands before, never as what it names."""
    hostile = SOUND.replace("source: mine", "source: !!python/object:os.system x")
    assert read_dialect(hostile, "own.yaml").source == "x"


def test_unknown_names_and_files_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(DialectError, match=r"no dialect 'thread'; shipped: apr, asyncthink, .*ends in \.yaml"):
        load_dialect("thread")
    with pytest.raises(DialectError, match=r"none\.yaml: No such file"):
        load_dialect(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    with pytest.raises(DialectError, match=r"latin\.yaml: not UTF-8 at byte 6"):
        load_dialect(tmp_path / "latin.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * 70_000)
    with pytest.raises(DialectError, match=r"large\.yaml: larger than 65536 bytes"):
        load_dialect(tmp_path / "large.yaml")
