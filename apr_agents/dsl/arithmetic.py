"""The check of an answer that is a calculation: each step true, each number used at most once, the target reached."""

from __future__ import annotations

import re
from dataclasses import dataclass

from apr_agents.dsl.checked import MAX_ANSWER, Checked

_SEPARATOR = re.compile(r",|\n|\bthen\b")
_STEP = re.compile(r"(-?[0-9]{1,18}) *([-+*/]) *(-?[0-9]{1,18}) *= *(-?[0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Step:
    """One operation as it was written: `left operator right = value`."""

    left: int
    operator: str
    right: int
    value: int

    @property
    def operation(self) -> str:
        return f"{self.left} {self.operator} {self.right}"

    def falsehood(self) -> str | None:
        """What is untrue of it over whole numbers; None when it holds."""
        if self.operator != "/":
            true = {"+": self.left + self.right, "-": self.left - self.right, "*": self.left * self.right}
            value = true[self.operator]
        elif self.right == 0:
            return f"divides {self.left} by 0"
        elif self.left % self.right:
            return f"divides {self.left} by {self.right}, which does not go into it"
        else:
            value = self.left // self.right
        return None if value == self.value else f"says {self.operation} = {self.value}; it is {value}"


def arithmetic(answer: str, *, numbers: tuple[int, ...], target: int, negative: bool = False) -> Checked:
    """Whether the answer is steps `a op b = c` (separated by `then`, a comma or a line) from `numbers` to `target`.

    Each step is true over whole numbers and uses what is at hand: a number or an earlier result, each once.
    A result below 0 is refused unless `negative`. The last result is the target.
    """
    if len(answer) > MAX_ANSWER:
        return Checked(False, f"the answer has {len(answer)} characters; expected at most {MAX_ANSWER}")
    at_hand = list(numbers)
    value = None
    for place, text in enumerate(_written(answer), start=1):
        step = _step(text)
        if step is None:
            return Checked(False, f"step {place} is {text[:60]!r}; expected `a op b = c` in whole numbers")
        problem = _take(step, at_hand) or step.falsehood()
        if problem is None and step.value < 0 and not negative:
            problem = f"goes below 0 with {step.operation} = {step.value}"
        if problem is not None:
            return Checked(False, f"step {place} {problem}")
        value = step.value
        at_hand.append(value)
    if value is None:
        return Checked(False, "the answer has no step; expected `a op b = c`")
    if value != target:
        return Checked(False, f"the last step gives {value}; the target is {target}")
    over = f"not used: {_listed(at_hand[:-1])}" if len(at_hand) > 1 else "every number is used"
    return Checked(True, f"each step is true and the last gives {target}; {over}")


def written_steps(answer: str) -> list[Step | None]:
    """The steps of an answer as they are written, true or not; None for what is none."""
    return [_step(text) for text in _written(answer[:MAX_ANSWER])]


def _written(answer: str) -> list[str]:
    return [text for part in _SEPARATOR.split(answer) if (text := part.strip())]


def _step(text: str) -> Step | None:
    found = _STEP.fullmatch(text)
    return Step(int(found[1]), found[2], int(found[3]), int(found[4])) if found else None


def _take(step: Step, at_hand: list[int]) -> str | None:
    """Take the step's operands from what is at hand; what is wrong where one is not there."""
    for operand in (step.left, step.right):
        if operand not in at_hand:
            there = f"{_listed(at_hand)} left" if at_hand else "nothing left"
            return f"uses {operand} in {step.operation}, with {there}"
        at_hand.remove(operand)
    return None


def _listed(numbers: list[int]) -> str:
    return " ".join(map(str, numbers))
