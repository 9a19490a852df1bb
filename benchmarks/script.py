"""What a model is made to say: one trajectory of a block, its branches and what follows, the same on every engine.

Text is kept in pieces that are encoded one by one. A piece is what an encoder makes of it; a number that stands in two
pieces (` 13` and `7`) is spelled in tokens that no encoder would choose, as models do now and then when they sample.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from apr_agents.engines.base import Request
from apr_agents.glue import Encode

Pieces = tuple[str, ...]
END = "<eos>"
"""The shipped model's end of text."""
QUESTION = 300
"""Tokens of a question, and a few more."""


@dataclass(frozen=True, slots=True)
class Script:
    """One trajectory."""

    question: str
    plan: Pieces
    """Up to the tag that forks."""
    branches: tuple[Pieces, ...]
    """Behind each branch's header, closing tag included."""
    conclusion: Pieces

    @property
    def joined(self) -> str:
        """The text behind the prompt, as it stands joined."""
        branches = (f"\n<Thread>{n}:{''.join(said)}" for n, said in enumerate(self.branches, 1))
        return "".join((*self.plan, *branches, "\n</Parallel>\n", *self.conclusion)).removesuffix(END)


def branch_tokens(branches: int) -> int:
    """How long a branch is at least: 100 tokens for up to 16, less for more, so that all fit a window of 4,096."""
    return max(12, min(100, 1600 // branches))


def write(
    branches: int,
    seed: int,
    *,
    prompt: int = 0,
    tokens: int | None = None,
    lengths: Sequence[int] | None = None,
    respelled: float = 0.0,
) -> Script:
    """A script in the words of the Countdown game, the same for the same seed.

    `prompt`: another one makes another question, which shares no prefix. `tokens`: of the shortest branch, the longest
    has a fifth more. `lengths`: of each branch, in place of that. `respelled`: the share of tokens that are spelled
    otherwise than an encoder would.
    """
    chance, spelling = random.Random(seed), random.Random(seed)
    least = tokens or branch_tokens(branches)
    numbers = range(1, branches + 1)
    named = [(f"<Outline>{n}:", _number(chance), " +", _number(chance), "</Outline>\n") for n in numbers]
    sizes = lengths or [least + chance.randint(0, least // 5) for _ in numbers]
    bodies = [[_number(chance) for _ in range(size - 1)] for size in sizes]
    plan = ("<Parallel>\n<Outlines>\n", *(piece for outline in named for piece in outline), "</Outlines>")
    return Script(
        f"{prompt} " + "".join(_number(chance) for _ in range(QUESTION)),
        _spelled(plan, spelling, respelled),
        tuple((*_spelled(body, spelling, respelled), "</Thread>") for body in bodies),
        ("answer:", *(_number(chance) for _ in range(8)), END),
    )


def _number(chance: random.Random) -> str:
    """One token of the shipped model's."""
    return f" {chance.randint(100, 200)}"


def _spelled(pieces: Iterable[str], chance: random.Random, share: float) -> Pieces:
    """These pieces, and a share of the numbers among them in two."""
    spelled: list[str] = []
    for piece in pieces:
        if piece.strip().isdigit() and chance.random() < share:
            spelled += [piece[:-1], piece[-1]]
        else:
            spelled.append(piece)
    return tuple(spelled)


@dataclass(frozen=True, slots=True)
class Line:
    """What one request is answered with."""

    text: str
    ids: tuple[int, ...]


class Prompter:
    """Tells an engine what to say. Its mutable state is the script of the run under way."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}

    def take(self, script: Script, encode: Encode) -> None:
        """From now on this script is said."""
        said = {f"1.{n}": pieces for n, pieces in enumerate(script.branches, 1)}
        said |= {"plan": script.plan, "conclusion": script.conclusion}
        self._lines = {place: _line(pieces, encode) for place, pieces in said.items()}

    def take_whole(self, text: str, ids: tuple[int, ...]) -> None:
        """From now on this is said, in one request."""
        self._lines = {"plan": Line(text, ids)}

    @property
    def longest(self) -> int:
        """Tokens of the longest line."""
        return max(len(line.ids) for line in self._lines.values())

    def line(self, request: Request) -> Line:
        """What this request is answered with; by its place and its text, so that asking twice changes nothing."""
        if request.path.depth:
            return self._lines[str(request.path)]
        return self._lines["conclusion" if request.context.text.endswith("</Parallel>\n") else "plan"]


def _line(pieces: Pieces, encode: Encode) -> Line:
    ids = tuple(token for piece in pieces for token in encode(piece, control=True) or ())
    return Line("".join(pieces).removesuffix(END), ids)
