"""What a perfect player writes, as text.

Four numbers: an outline per first operation, and per branch an exhaustive search of the three numbers that are left.
Three numbers, or the mode `sequential`: the same search in one text. A branch that found the target says in which
branch that was (` hit in 6,`), so that the join can name it before it copies the solution; a model of this size copies
the wrong one otherwise. The sub-game is restated with its target for the same reason: what is needed next is near.
"""

from collections.abc import Sequence
from typing import NamedTuple

from . import game
from .game import Choice, Operation
from .problems import Problem

MOST_OUTER_BRANCHES = 4
MOST_INNER_BRANCHES = 6


class Branch(NamedTuple):
    """One branch of a block, without its tags: it writes its search, perhaps opens a block, and gives a verdict."""

    number: int
    outline: str
    search: str
    verdict: str
    steps: list[Operation] | None
    inner: tuple["Branch", ...] = ()


def user_message(problem: Problem) -> str:
    """A problem as the user states it."""
    return f"Numbers: {_listed(problem.numbers)} Target: {problem.target}"


def search(numbers: Sequence[int], target: int) -> tuple[str, list[Operation] | None]:
    """An exhaustive search of three numbers: a line per first operation, listing all that the next one can give."""
    text: list[str] = []
    for choice in game.choices(numbers):
        (other,) = choice.others
        text.append(f" {choice.operation} {other} ->")
        for last in game.operations(choice.operation.value, other):
            text.append(f" {last.value}")
            if last.value == target:
                return "".join(text), [choice.operation, last]
        text.append(";")
    return "".join(text), None


def restated(numbers: Sequence[int], target: int) -> str:
    """A game restated at the point where it is played."""
    return f" {_listed(numbers)} Target: {target};"


def opening(choice: Choice, target: int) -> str:
    """The first line of a branch: its operation, and the game that is left."""
    return f" {choice.operation},{restated(choice.numbers, target)}"


def branches(openings: Sequence[Choice], target: int) -> list[Branch]:
    """The branches of a block over four numbers."""
    return [_branch(number, choice, target) for number, choice in enumerate(openings, start=1)]


def _branch(number: int, choice: Choice, target: int) -> Branch:
    searched, rest = search(choice.numbers, target)
    steps = None if rest is None else [choice.operation, *rest]
    return Branch(
        number, f" {choice.operation.name}", opening(choice, target) + searched, verdict(number, steps), steps
    )


def verdict(number: int, steps: Sequence[Operation] | None) -> str:
    """The last words of a branch."""
    return " none" if steps is None else f" hit in {number}, {game.steps_text(steps)}"


def cut_short(branch: Branch) -> Branch:
    """The branch with its first line and its verdict only, for drills."""
    first_line, end, _ = branch.search.partition(";")
    return branch._replace(search=first_line + end)


def outlines(of: Sequence[Branch]) -> str:
    """A block up to the end of its outlines, where the branches begin."""
    lines = "".join(f"<Outline>{branch.number}:{branch.outline}</Outline>\n" for branch in of)
    return f"<Parallel>\n<Outlines>\n{lines}</Outlines>"


def conclusion(of: Sequence[Branch]) -> str:
    """What follows the last join: the branch that hit, and its solution; the lowest number when several did."""
    hit = _first_hit(of)
    if hit is None or hit.steps is None:
        return "none"
    return f"hit in {hit.number}, answer: {game.steps_text(hit.steps)}"


def three_in_sequence(problem: Problem) -> tuple[str, str]:
    """The whole answer to three numbers: its search, and its last words."""
    searched, steps = search(*problem)
    return restated(*problem) + searched, _sequential_verdict(steps)


def four_in_sequence(problem: Problem) -> tuple[str, str]:
    """The whole answer to four numbers without a fork: one branch after the other until one hits; its last words."""
    text: list[str] = []
    for choice in game.choices(problem.numbers):
        searched, rest = search(choice.numbers, problem.target)
        text.append(opening(choice, problem.target) + searched)
        if rest is not None:
            return "".join(text), _sequential_verdict([choice.operation, *rest])
        text.append(" none;")
    return "".join(text), " none"


def _sequential_verdict(steps: Sequence[Operation] | None) -> str:
    return " none" if steps is None else f" hit, answer: {game.steps_text(steps)}"


def plan(openings: Sequence[Choice]) -> str:
    """What stands before a block of calls: the first operations in order, since its outlines show results only."""
    return "".join(f" {choice.operation};" for choice in openings) + "\n"


def calls(openings: Sequence[Choice], target: int) -> list[Branch]:
    """The branches of a block of calls: the function's text is the body; the join adds the first operation."""
    return [_call(number, choice, target) for number, choice in enumerate(openings, start=1)]


def _call(number: int, choice: Choice, target: int) -> Branch:
    numbers = ", ".join(map(str, choice.numbers))
    outline = f' @solve {{"numbers": [ {numbers}], "target": {target}}}'
    rest = game.find_steps(choice.numbers, target)
    steps = None if rest is None else [choice.operation, *rest]
    return Branch(number, outline, "", f" {game.solve(choice.numbers, target)}", steps)


def outer_openings(problem: Problem) -> list[Choice]:
    """The first operations that a nested run tries: few, since each branch opens a block of its own."""
    return list(game.choices(problem.numbers))[:MOST_OUTER_BRANCHES]


def inner_openings(choice: Choice) -> list[Choice]:
    """The first operations that a branch of a nested run tries on its four numbers."""
    return game.choices_with_first(choice.numbers)[:MOST_INNER_BRANCHES]


def outer_branches(problem: Problem) -> list[Branch]:
    """The branches of the outer block of a nested run, each with its own block finished."""
    return [
        _outer_branch(number, choice, problem.target) for number, choice in enumerate(outer_openings(problem), start=1)
    ]


def _outer_branch(number: int, choice: Choice, target: int) -> Branch:
    inner = branches(inner_openings(choice), target)
    hit = _first_hit(inner)
    steps = None if hit is None or hit.steps is None else [choice.operation, *hit.steps]
    search = f"{opening(choice, target)}\n{outlines(inner)}"
    spoken = outer_verdict(number, choice.operation, inner)
    return Branch(number, f" {choice.operation.name}", search, spoken, steps, tuple(inner))


def outer_verdict(number: int, operation: Operation, inner: Sequence[Branch]) -> str:
    """The last words of a branch that opened a block: which inner branch hit, and which branch this is."""
    hit = _first_hit(inner)
    if hit is None or hit.steps is None:
        return "none"
    return f"hit in {hit.number}, so{verdict(number, [operation, *hit.steps])}"


def _first_hit(of: Sequence[Branch]) -> Branch | None:
    return next((branch for branch in of if branch.steps is not None), None)


def _listed(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))
