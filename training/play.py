"""Plays many problems at once: generation, forks and joins in lock-step, over the library's glue.

The library's driver plays one problem as it should be played, concurrently and on an engine; this plays hundreds in
a few large batches, so that PyTorch can be compared with it run by run.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from apr_agents.context import Context, Origin, Segment
from apr_agents.glue import Fork, Joined, fork_context, join_context, result_context

from . import game, vocabulary
from .tokenizer import Encoder
from .units import DIALECT

MOST_TOKENS = 2_048
MOST_BLOCKS = 4
OUTLINE = re.compile(r"<Outline>(\d+):([^<]*)</Outline>")
CALL = re.compile(r" @solve (\{.*\})")

Generate = Callable[[Sequence[tuple[int, ...]], Collection[int], int], list[list[int]]]


@dataclass
class Walk:
    """One path through a run: the run itself, or one branch."""

    context: Context
    fork: Fork | None = None
    tokens: int = 0
    """Generated in all, branches included."""
    critical: int = 0
    """Generated on the longest path."""
    blocks: int = 0
    answered: bool = False
    """Whether a function has already written this branch."""


class Player:
    """Plays problems with one way to generate."""

    def __init__(self, generate: Generate, encode: Encoder) -> None:
        self._generate = generate
        self._encode = encode
        self._outlines_close = vocabulary.word_id("</Outlines>")
        self._stops = {vocabulary.word_id(vocabulary.EOS), vocabulary.word_id("</Thread>"), self._outlines_close}

    def play(self, messages: Sequence[str], mode: str) -> list[Walk]:
        """Plays each user message to its end."""
        walks: list[Walk] = []
        for message in messages:
            prompt = f"{vocabulary.BOS}{message}\n{mode}"
            walks.append(Walk(Context.of(Segment(prompt, self._encode(prompt, control=True), Origin.client))))
        self._go(walks)
        return walks

    def _go(self, walks: list[Walk]) -> None:
        """Takes walks to their ends, all of one depth together."""
        while walks:
            written = self._generate([walk.context.ids for walk in walks], self._stops, MOST_TOKENS)
            forked: list[Walk] = []
            for walk, ids in zip(walks, written, strict=True):
                walk.context = walk.context.extend(Segment(self._encode.decode(ids), tuple(ids), Origin.generated))
                walk.tokens += len(ids)
                walk.critical += len(ids)
                if ids[-1] == self._outlines_close and walk.blocks < MOST_BLOCKS:
                    forked.append(walk)
            self._fork_and_join(forked)
            walks = forked

    def _fork_and_join(self, walks: Sequence[Walk]) -> None:
        families = [self._children(walk) for walk in walks]
        self._go([child for family in families for child in family if not child.answered])
        for walk, family in zip(walks, families, strict=True):
            walk.blocks += 1
            joined = [Joined(child.fork, child.context) for child in family if child.fork is not None]
            walk.context = join_context(walk.context, joined, DIALECT, self._encode)
            walk.tokens += sum(child.tokens for child in family)
            walk.critical += max((child.critical for child in family), default=0)

    def _children(self, walk: Walk) -> list[Walk]:
        """One branch per outline; a call is answered at once."""
        children: list[Walk] = []
        for number, outline in OUTLINE.findall(walk.context.segment.text):
            fork = fork_context(walk.context, DIALECT, number, self._encode)
            called = CALL.fullmatch(outline)
            if called:
                answered = result_context(fork, f" {_answer(called[1])}", DIALECT, self._encode)
                children.append(Walk(answered, fork, answered=True))
            else:
                children.append(Walk(fork.start, fork))
        return children


def _answer(arguments: str) -> str:
    try:
        return game.solve(**json.loads(arguments))
    except (TypeError, ValueError) as error:
        return f"failed: {error}"
