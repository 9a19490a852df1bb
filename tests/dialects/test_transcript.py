"""Stored transcripts as trees, and the command that shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from apr_agents.cli.parse import command
from apr_agents.dialects import load_dialect
from apr_agents.dialects.chat import answer_start
from apr_agents.dialects.transcript import Transcript, parse

FOLDER = Path(__file__).parent.parent / "data" / "transcripts"


def text_of(name: str) -> str:
    return (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def tree(transcript: Transcript) -> list[tuple[str, str | None, str | None]]:
    """Path, number and outline of every branch, each block's before those inside its branches."""
    return [
        (branch.path, branch.number, branch.outline) for block in transcript.all_blocks for branch in block.branches
    ]


TREES = {
    "threadweaver": [
        ("1.1", "1", "add up 12 and 30"),
        ("1.2", "2", "add up 7 and 8"),
        ("2.1", "1", "by halves"),
        ("2.2", "2", "by tens"),
        ("2.3", "3", "by remainders"),
    ],
    "threadweaver-code": [("1.1", "1", "add up 12 and 30"), ("1.2", "2", "add up 7 and 8")],
    "multiverse": [
        ("1.1", "1", "the even terms"),
        ("1.2", "2", "the odd terms"),
        ("1.1/1.1", "1.1", "those below ten"),
        ("1.1/1.2", "1.2", "those above"),
    ],
    "parallel-r1": [("1.1", None, None), ("1.2", None, None)],
    "npr": [
        ("1.1", "1", "try small cases"),
        ("1.2", "2", "look for a bound"),
        ("2.1", "1", "check n = 3 once more"),
    ],
}


@pytest.mark.parametrize("name", TREES)
def test_the_published_shapes_are_well_formed_trees(name: str) -> None:
    transcript = parse(text_of(name), load_dialect(name))
    assert transcript.verdicts == ()
    assert tree(transcript) == TREES[name]
    assert transcript.branches_total == len(TREES[name])


def test_texts_ends_and_conclusions_are_those_of_the_file() -> None:
    text = text_of("multiverse")
    transcript = parse(text, load_dialect("multiverse"))
    outer, inner = transcript.all_blocks
    assert (outer.conclusion, inner.conclusion) == ("42 and 36.", "Together 42.")
    first, second = outer.branches
    assert first.text == " The even terms split again.\n\nSo the even terms are 42.\n"
    assert text[second.offset : second.end] == "<Path>\n2: 1 + 3 + 5 + 7 + 9 + 11 = 36\n"
    assert text[outer.end :] == "</Parallel>\nThe sum is 78.\n"
    (block,) = parse(text_of("parallel-r1"), load_dialect("parallel-r1")).blocks
    assert block.conclusion == "Both end in 1."


def test_tags_that_a_prompt_quotes_count_for_nothing() -> None:
    text = text_of("prompted")
    transcript = parse(text, load_dialect("threadweaver"))
    assert transcript.verdicts == ()
    assert transcript.blocks[0].offset == text.rindex("<Parallel>")
    assert tree(transcript) == [("1.1", "1", "look it up")]


@pytest.mark.parametrize(
    "mark",
    [
        "<|im_start|>assistant\n",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<|header_start|>assistant<|header_end|>\n\n",
        "<|start|>assistant<|channel|>final<|message|>",
        "<start_of_turn>model\n",
        "<|assistant|>\n",
        "<｜Assistant｜>",
        "<|CHATBOT_TOKEN|>",
        "<|start_of_role|>assistant<|end_of_role|>",
        "[/INST]",
        "\nAssistant:",
    ],
)
def test_the_answer_begins_behind_the_last_assistant_mark(mark: str) -> None:
    prompt = f"<Parallel>{mark}an earlier answer</Thread> and a question{mark}"
    assert answer_start(prompt + "the answer") == len(prompt)
    assert parse(prompt + "the answer", load_dialect("threadweaver")).verdicts == ()


def test_without_a_mark_the_answer_is_the_file() -> None:
    assert answer_start("assistant, help me") == 0


def apr_parse(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(command, arguments, input=stdin)


def test_json_is_one_object_with_totals_blocks_and_verdicts() -> None:
    result = apr_parse("--dialect", "multiverse", str(FOLDER / "multiverse.txt"), "--json")
    found: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (found["blocks_total"], found["branches_total"], found["verdicts"]) == (2, 4, [])
    (block,) = found["blocks"]
    assert [branch["path"] for branch in block["branches"]] == ["1.1", "1.2"]
    assert [branch["path"] for branch in block["branches"][0]["blocks"][0]["branches"]] == ["1.1/1.1", "1.1/1.2"]


MALFORMED = "so\n<Parallel>\n<Outlines><Outline>1: a\x1b[2J</Outline></Outlines>\n <Thread>1: x</Parallel>\n"


def test_a_verdict_has_kind_offset_and_path_and_makes_the_exit_status_1() -> None:
    result = apr_parse("--json", stdin=MALFORMED)
    assert result.exit_code == 1
    (verdict,) = json.loads(result.stdout)["verdicts"]
    assert (verdict["kind"], verdict["path"], verdict["repaired"]) == ("unclosed-branch", "1.1", True)
    assert verdict["offset"] == MALFORMED.index("<Thread>")


def test_people_get_a_tree_and_verdicts_by_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "t.txt"
    file.write_text(MALFORMED, encoding="utf-8")
    result = apr_parse(str(file))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{file}: 1 block, 1 branch",
        "  block 1: 1 branch",
        "    1.1  a [2J",
        f"{file}:4:2 unclosed-branch: a branch opens here and does not close, branch 1.1 (repaired)",
    ]


def test_offsets_count_characters_of_the_file_as_it_is() -> None:
    """Line ends stay as they are, and a character is one however many bytes it has."""
    text = "é𝔘\r\n</Thread>"
    (verdict,) = json.loads(apr_parse("--json", "-", stdin=text.encode()).stdout)["verdicts"]
    assert verdict["offset"] == 4


def test_what_cannot_be_read_is_one_line_and_exit_status_2(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    for arguments, message in (
        ([str(tmp_path / "none")], "No such file or directory"),
        ([str(tmp_path)], "Is a directory"),
        ([str(tmp_path / "latin")], "not UTF-8 at byte 3"),
        (["--dialect", "none", "-"], "no dialect 'none'; shipped: apr,"),
        (["--dialect", "apr", "-"], "cannot be parsed"),
    ):
        result = apr_parse(*arguments, stdin="")
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
