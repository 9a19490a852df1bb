"""`apr parse`: the blocks of a stored transcript, and what is malformed in them."""

from __future__ import annotations

import json
import sys
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from apr_agents.cli.refusal import Refusal
from apr_agents.dialects import load_dialect
from apr_agents.dialects.transcript import Block, Transcript, parse
from apr_agents.errors import DialectError

_SHOWN = 60
"""Characters of an outline that the tree shows."""


@click.command("parse")
@click.option("--dialect", "name", default="threadweaver", show_default=True, help="A shipped dialect, or a YAML file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; offsets count the file's characters.")
@click.argument("file", default="-", type=click.Path(path_type=str))
def command(name: str, as_json: bool, file: str) -> None:
    """Show the blocks of a stored transcript FILE (or -, or none: standard input), and what is malformed in them.

    A chat prompt may stand before the answer; tags quoted in it count for nothing. The exit status is 0 for a text that
    is well formed, 1 for one that is not, 2 for input that cannot be read.
    """
    text = _read(file)
    try:
        transcript = parse(text, load_dialect(name))
    except DialectError as error:
        raise Refusal(str(error)) from error
    click.echo(_as_json(transcript) if as_json else _for_people(transcript, text, file))
    sys.exit(1 if transcript.verdicts else 0)


def _read(file: str) -> str:
    """The file's text, its line ends as they are."""
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Refusal(f"{file}: {error.strerror}") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(f"{file}: not UTF-8 at byte {error.start}; save it as UTF-8") from error


def _as_json(transcript: Transcript) -> str:
    blocks = [asdict(block) for block in transcript.blocks]
    verdicts = [asdict(verdict) for verdict in transcript.verdicts]
    totals = {"blocks_total": transcript.blocks_total, "branches_total": transcript.branches_total}
    return json.dumps({**totals, "blocks": blocks, "verdicts": verdicts}, indent=1)


def _for_people(transcript: Transcript, text: str, file: str) -> str:
    lines = [f"{file}: {_count(transcript.blocks_total, 'block')}, {_count(transcript.branches_total, 'branch')}"]
    for number, block in enumerate(transcript.blocks, 1):
        lines += _tree(block, str(number), "  ")
    starts = [0, *(at + 1 for at, character in enumerate(text) if character == "\n")]
    for verdict in transcript.verdicts:
        line = bisect_right(starts, verdict.offset)
        column = verdict.offset - starts[line - 1] + 1
        where = f", branch {verdict.path}" if verdict.path else ""
        repaired = " (repaired)" if verdict.repaired else ""
        lines.append(_plain(f"{file}:{line}:{column} {verdict.kind}: {verdict.detail}{where}{repaired}"))
    return "\n".join(lines)


def _tree(block: Block, name: str, indent: str) -> Iterator[str]:
    """A block and, further in, its branches with their blocks."""
    yield f"{indent}block {name}: {_count(len(block.branches), 'branch')}"
    for branch in block.branches:
        outline = _plain(branch.outline or "")
        shown = outline if len(outline) <= _SHOWN else outline[: _SHOWN - 1] + "…"
        yield f"{indent}  {branch.path}  {shown}".rstrip()
        for number, inner in enumerate(branch.blocks, 1):
            yield from _tree(inner, f"{branch.path}/{number}", indent + "    ")


def _count(number: int, what: str) -> str:
    plural = what + ("es" if what.endswith("ch") else "s")
    return f"{number} {what if number == 1 else plural}"


def _plain(text: str) -> str:
    """The text in one line, without characters that steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
