"""The arithmetic check holds for every true derivation, and finds whatever is changed in one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apr_agents.dsl.arithmetic import arithmetic
from apr_agents.dsl.checked import MAX_ANSWER


@dataclass(frozen=True)
class Line:
    left: int
    operator: str
    right: int
    value: int

    def __str__(self) -> str:
        return f"{self.left} {self.operator} {self.right} = {self.value}"


def exact(left: int, operator: str, right: int) -> Fraction | None:
    """The operation over fractions, worked out apart from the check; None for a division by 0."""
    if operator == "/":
        return Fraction(left, right) if right else None
    sign = {"+": 1, "-": -1}.get(operator)
    return Fraction(left * right) if sign is None else Fraction(left + sign * right)


@st.composite
def derivations(draw: st.DrawFn) -> tuple[list[int], list[Line], list[int]]:
    """Numbers, true steps over them that stay at 0 or above, and what is left at the end besides the last result."""
    numbers = draw(st.lists(st.integers(0, 60), min_size=2, max_size=6))
    at_hand = list(numbers)
    lines: list[Line] = []
    for _ in range(draw(st.integers(1, len(numbers) - 1))):
        left = at_hand.pop(draw(st.integers(0, len(at_hand) - 1)))
        right = at_hand.pop(draw(st.integers(0, len(at_hand) - 1)))
        operator = draw(st.sampled_from("+-*/"))
        value = exact(left, operator, right)
        if value is None or value < 0 or value.denominator != 1:
            left, operator, right = max(left, right), "-", min(left, right)
            value = Fraction(left - right)
        lines.append(Line(left, operator, right, int(value)))
        at_hand.append(int(value))
    return numbers, lines, at_hand[:-1]


def check(numbers: list[int], lines: list[Line], target: int, separator: str = " then ") -> tuple[bool, str]:
    found = arithmetic(separator.join(map(str, lines)), numbers=tuple(numbers), target=target)
    return found.ok, found.detail


@given(derivations(), st.sampled_from([" then ", ", ", ",", "\n", " then\n"]))
def test_a_true_derivation_holds(made: tuple[list[int], list[Line], list[int]], separator: str) -> None:
    numbers, lines, left_over = made
    ok, detail = check(numbers, lines, lines[-1].value, separator)
    assert ok
    named = detail.partition("not used: ")[2]
    assert sorted(map(int, named.split())) == sorted(left_over)


@given(derivations(), st.data())
def test_a_changed_result_is_found(made: tuple[list[int], list[Line], list[int]], data: st.DataObject) -> None:
    numbers, lines, _ = made
    place = data.draw(st.integers(0, len(lines) - 1))
    wrong = data.draw(st.integers(0, 4000).filter(lambda value: value != lines[place].value))
    lines[place] = replace(lines[place], value=wrong)
    ok, detail = check(numbers, lines, lines[-1].value)
    assert not ok
    assert detail.startswith(f"step {place + 1} says {lines[place].left} {lines[place].operator}")


@given(derivations(), st.data())
def test_a_changed_operator_is_found(made: tuple[list[int], list[Line], list[int]], data: st.DataObject) -> None:
    numbers, lines, _ = made
    place = data.draw(st.integers(0, len(lines) - 1))
    line = replace(lines[place], operator=data.draw(st.sampled_from("+-*/")))
    assume(exact(line.left, line.operator, line.right) != line.value)
    ok, detail = check(numbers, [*lines[:place], line, *lines[place + 1 :]], lines[-1].value)
    assert not ok
    assert detail.startswith(f"step {place + 1} ")


@given(derivations(), st.sampled_from(["left", "right"]), st.data())
def test_a_changed_operand_is_found(
    made: tuple[list[int], list[Line], list[int]], side: str, data: st.DataObject
) -> None:
    numbers, lines, _ = made
    place = data.draw(st.integers(0, len(lines) - 1))
    line = replace(lines[place], **{side: data.draw(st.integers(0, 200))})
    assume(exact(line.left, line.operator, line.right) != line.value)
    ok, detail = check(numbers, [*lines[:place], line, *lines[place + 1 :]], lines[-1].value)
    assert not ok
    assert detail.startswith(f"step {place + 1} ")


@given(derivations(), st.data())
def test_a_number_that_is_not_there_is_found(
    made: tuple[list[int], list[Line], list[int]], data: st.DataObject
) -> None:
    """True arithmetic over fewer numbers than were used does not hold."""
    numbers, lines, left_over = made
    used = list(numbers)
    for number in left_over:
        if number in used:
            used.remove(number)
    missing = data.draw(st.sampled_from(used))
    fewer = list(numbers)
    fewer.remove(missing)
    results = [line.value for line in lines[:-1]]
    assume(missing not in results)
    assume(missing not in left_over)
    ok, detail = check(fewer, lines, lines[-1].value)
    assert not ok
    assert f"uses {missing} " in detail


@given(derivations(), st.integers(0, 4000))
def test_another_target_is_found(made: tuple[list[int], list[Line], list[int]], target: int) -> None:
    numbers, lines, _ = made
    assume(target != lines[-1].value)
    assert check(numbers, lines, target) == (
        False,
        f"the last step gives {lines[-1].value}; the target is {target}",
    )


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        ("26 - 21 = 5 then 45 / 5 = 8", "step 2 says 45 / 5 = 8; it is 9"),
        ("45 / 26 = 1", "step 1 divides 45 by 26, which does not go into it"),
        ("26 - 26 = 0", "step 1 uses 26 in 26 - 26, with 45 27 21 left"),
        ("26 - 21 = 5 then 45 / 0 = 9", "step 2 uses 0 in 45 / 0, with 27 5 left"),
        ("21 - 26 = -5", "step 1 goes below 0 with 21 - 26 = -5"),
        ("26 - 21 = 5", "the last step gives 5; the target is 18"),
        ("18", "step 1 is '18'; expected `a op b = c` in whole numbers"),
        ("26 - 21 = 5 then", "the last step gives 5; the target is 18"),
        ("26 - 21 = 5.0", "step 1 is '26 - 21 = 5.0'; expected `a op b = c` in whole numbers"),
        ("26 ** 2 = 676", "step 1 is '26 ** 2 = 676'; expected `a op b = c` in whole numbers"),
        ("__import__('os')", "step 1 is \"__import__('os')\"; expected `a op b = c` in whole numbers"),
        ("٢٦ - 21 = 5", "step 1 is '٢٦ - 21 = 5'; expected `a op b = c` in whole numbers"),
        ("1" * 19 + " + 1 = 2", f"step 1 is '{'1' * 19} + 1 = 2'; expected `a op b = c` in whole numbers"),
        ("", "the answer has no step; expected `a op b = c`"),
        (" then , \n", "the answer has no step; expected `a op b = c`"),
        (" " * (MAX_ANSWER + 1), f"the answer has {MAX_ANSWER + 1} characters; expected at most {MAX_ANSWER}"),
    ],
)
def test_says_what_is_wrong(answer: str, detail: str) -> None:
    found = arithmetic(answer, numbers=(26, 45, 27, 21), target=18)
    assert (found.ok, found.detail) == (False, detail)


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (
            "26 - 21 = 5 then 45 / 5 = 9 then 27 - 9 = 18",
            "each step is true and the last gives 18; every number is used",
        ),
        ("45 - 27 = 18", "each step is true and the last gives 18; not used: 26 21"),
        ("45-27=18", "each step is true and the last gives 18; not used: 26 21"),
    ],
)
def test_says_what_is_right(answer: str, detail: str) -> None:
    found = arithmetic(answer, numbers=(26, 45, 27, 21), target=18)
    assert (found.ok, found.detail) == (True, detail)


def test_below_zero_where_that_is_allowed() -> None:
    answer = "3 - 5 = -2 then -2 + 9 = 7"
    assert not arithmetic(answer, numbers=(3, 5, 9), target=7).ok
    assert arithmetic(answer, numbers=(3, 5, 9), target=7, negative=True).ok


def test_division_by_zero_at_hand() -> None:
    found = arithmetic("5 / 0 = 0", numbers=(5, 0), target=0)
    assert found.detail == "step 1 divides 5 by 0"
