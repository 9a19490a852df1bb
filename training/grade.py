"""Grades the text of a finished run: is it well formed, and does it solve the problem?"""

import re
from typing import NamedTuple

from . import game
from .problems import Problem

STEP = r"\d+ [-+*/] \d+ = \d+"
STEPS = rf"{STEP}(?: then {STEP})*"
CONCLUSION = rf"(?:none|hit in \d+, answer: {STEPS})"
OUTLINE = r"<Outline>\d+: [^<]+</Outline>\n"
LEAF = rf"[^<]* (?:none|hit in \d+, {STEPS}|{STEPS})"


def _block(body: str) -> str:
    return rf"<Parallel>\n<Outlines>\n(?:{OUTLINE})+</Outlines>(?:\n<Thread>\d+:{body}</Thread>)+\n</Parallel>\n"


INNER = _block(LEAF)
NESTING = rf"[^<]*\n(?:{INNER})+(?:none|hit in \d+, so hit in \d+, {STEPS})"
PARALLEL = re.compile(rf"\n(?:{INNER})+{CONCLUSION}")
CALLS = re.compile(rf"(?:(?: {STEP};)+\n{INNER})+{CONCLUSION}")
NESTED = re.compile(rf"\n(?:{_block(NESTING)})+{CONCLUSION}")
SEQUENCE = re.compile(rf"[^<]* (?:none|hit, answer: {STEPS})")
ANSWER = re.compile(rf"answer: ({STEPS})$")


class Grade(NamedTuple):
    """What is right about a run."""

    well_formed: bool
    solved: bool
    forked: bool


def grade(written: str, problem: Problem, *, nested: bool = False) -> Grade:
    """Grades all that follows the prompt, the end token taken off."""
    forked = "<Parallel>" in written
    calls = "@solve" in written
    grammar = NESTED if nested else CALLS if calls else PARALLEL if forked else SEQUENCE
    well_formed = grammar.fullmatch(written) is not None and _numbers_agree(written)
    answer = ANSWER.search(written)
    solved = answer is not None and game.is_solution(answer[1], *problem)
    return Grade(well_formed, solved, forked)


def _numbers_agree(written: str) -> bool:
    """Whether the outlines of every block count from 1."""
    for block in re.findall(r"<Outlines>\n(.*?)</Outlines>", written, re.DOTALL):
        numbers = [int(number) for number in re.findall(r"<Outline>(\d+):", block)]
        if numbers != list(range(1, len(numbers) + 1)):
            return False
    return True
