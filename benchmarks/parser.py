"""How fast the parser reads: whole, in single characters, and text made to be slow. Seconds of this process alone."""

from __future__ import annotations

import time
from collections.abc import Iterable

from apr_agents.dialects import load_dialect
from apr_agents.dialects.parser import Parser
from benchmarks.figure import Figure, show, spread

MEGABYTE = 1_000_000
TURNS = 3
SEQUENTIAL = "Both parts are needed, and neither needs the other; so they are worked out side by side. " * 10
OUTLINES = "".join(f"<Outline>{n}: what follows from the {n}. condition</Outline>\n" for n in (1, 2, 3))
THREAD = "Suppose that it holds. Then the left side is at most the right side, for if a < b it grows. " * 10
THREADS = "".join(f"\n<Thread>{n}: {THREAD}</Thread>" for n in (1, 2, 3))
TRANSCRIPT = f"{SEQUENTIAL}\n<Parallel>\n<Outlines>\n{OUTLINES}</Outlines>{THREADS}\n</Parallel>\n"
"""About 900 characters in sequence and three branches of 900: short, beside what models write."""
HOSTILE = {
    "tags without end": "<Parallel><Outlines><Outline>1:a",
    "beginnings of tags": "<Parallel</Outline<",
    "stray tags": "</Thread>",
}


def seconds(pieces: Iterable[str]) -> float:
    """How long one parser takes for these pieces, its events thrown away."""
    parser = Parser(load_dialect("threadweaver"))
    before = time.process_time()
    for piece in pieces:
        parser.feed(piece)
    parser.close()
    return time.process_time() - before


def text_of(unit: str, size: int) -> str:
    return (unit * (size // len(unit) + 1))[:size]


def whole() -> list[Figure]:
    """In one piece, and in the pieces that engines send."""
    text = text_of(TRANSCRIPT, 8 * MEGABYTE)
    tokens = [text[at : at + 4] for at in range(0, 2 * MEGABYTE, 4)]
    at_once = [8 / seconds([text]) for _ in range(TURNS)]
    in_tokens = [2 / seconds(tokens) for _ in range(TURNS)]
    return [
        Figure("parser, whole", max(at_once), "MB/s", 5, "higher", spread(at_once)),
        Figure("parser, pieces of 4 characters", max(in_tokens), "MB/s", 0.5, "higher", spread(in_tokens)),
    ]


def in_characters() -> list[Figure]:
    """4 MB and 8 MB in single characters, in turns: a byte of the longer must not cost more."""
    text = text_of(TRANSCRIPT, 8 * MEGABYTE)
    turns = [(4 / seconds(text[: 4 * MEGABYTE]), 8 / seconds(text)) for _ in range(TURNS)]
    short, long = [one for one, _ in turns], [other for _, other in turns]
    return [
        Figure("parser, 4 MB in single characters", max(short), "MB/s", 0.2, "higher", spread(short)),
        Figure("parser, 8 MB in single characters", max(long), "MB/s", 0.2, "higher", spread(long)),
        Figure("parser, a byte of 8 MB over one of 4 MB", max(short) / max(long), "times", 1.1, "lower"),
    ]


def hostile() -> list[Figure]:
    """Text made to be slow: 2 MB over 1 MB."""
    figures: list[Figure] = []
    for name, unit in HOSTILE.items():
        short, long = (min(seconds([text_of(unit, size * MEGABYTE)]) for _ in range(TURNS)) for size in (1, 2))
        detail = f"2 MB at {2 / long:.3g} MB/s"
        figures.append(
            Figure(f"parser, {name}: a byte of 2 MB over one of 1 MB", long / short / 2, "times", 1.5, "lower", detail)
        )
    return figures


if __name__ == "__main__":
    show(whole())
    show(in_characters())
    show(hostile())
