"""The parser under a coverage-guided fuzzer: `python tests/fuzz/fuzz_parser.py -max_total_time=20`.

Takes libFuzzer's arguments. Each input is a dialect, limits, a text that its bytes spell in tags and characters, and a
way to cut it; whatever they are, no error is raised, all cuts give the same events, and the events keep their laws.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["apr_agents.dialects"]):  # pyright: ignore[reportAttributeAccessIssue]
    from tests.dialects.reading import DEFAULTS, SMALL, check, cut, dialects, read

LOADED = dialects()
TAGS = [list(dialect.tags.roles()) for dialect in LOADED]


def spelled(data: bytes, tags: list[str]) -> str:
    """Bytes as text: those from 128 on are tags, whole or cut short; the others are themselves."""
    pieces: list[str] = []
    for byte in data:
        if byte < 128:
            pieces.append(chr(byte))
        else:
            tag = tags[byte % len(tags)]
            pieces.append(tag if byte < 240 else tag[: byte - 239])
    return "".join(pieces)


def one_input(data: bytes) -> None:
    if len(data) < 3:
        return
    choice, limits, inside_branch = data[0] % len(LOADED), SMALL if data[1] & 1 else DEFAULTS, bool(data[1] & 2)
    dialect, text = LOADED[choice], spelled(data[3:], TAGS[choice])
    whole = read(dialect, [text], limits, inside_branch=inside_branch)
    check(whole, text, inside_branch=inside_branch)
    step = data[2] % 16 + 1
    assert read(dialect, cut(text, range(step, len(text), step)), limits, inside_branch=inside_branch) == whole
    assert read(dialect, list(text), limits, inside_branch=inside_branch) == whole


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
