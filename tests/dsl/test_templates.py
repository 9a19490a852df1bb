"""References in text: filled in, escaped, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.dsl.templates import MAX_RENDERED, misreferences, render
from apr_agents.errors import WorkflowError


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("Numbers: ${numbers} Target: ${target}", "Numbers: 26 45 Target: 18"),
        ("${word}${word}", "twotwo"),
        ("$${target} $$${target} $ $$ {target} $target", "${target} $${target} $ $$ {target} $target"),
        ("", ""),
    ],
)
def test_rendered(text: str, rendered: str) -> None:
    assert render(text, {"numbers": (26, 45), "target": 18, "word": "two"}) == rendered


@given(st.text(alphabet="$${}a\n"))
def test_any_text_can_be_written(text: str) -> None:
    escaped = text.replace("${", "$${")
    assert not list(misreferences(escaped, ()))
    assert render(escaped, {}) == text


@given(st.text(alphabet="$${}a\n"), st.text())
def test_a_value_is_not_read_again(before: str, value: str) -> None:
    escaped = before.replace("${", "$${")
    if not escaped.endswith("$"):
        assert render(escaped + "${a}" + escaped, {"a": value}) == before + value + before


@pytest.mark.parametrize(
    ("text", "names", "problem"),
    [
        ("${tarjet}", ["target"], "`${tarjet}` refers to nothing, did you mean target?; expected one of target"),
        ("${x}", [], "`${x}` refers to nothing; no value has a name here"),
        ("${}", ["x"], "`${}` refers to nothing; expected one of x"),
        ("${ x }", ["x"], "`${ x }` refers to nothing; expected one of x"),
        ("${x", ["x"], "`${` is never closed; expected `${name}`, or `$${` for the text itself"),
        ("${x\n}", ["x"], "`${` is never closed; expected `${name}`, or `$${` for the text itself"),
    ],
)
def test_misreferences(text: str, names: list[str], problem: str) -> None:
    assert list(misreferences(text, names)) == [problem]


def test_the_rendered_text_has_a_bound() -> None:
    values = {"a": "x" * 1000}
    assert len(render("${a}" * 1000, values)) == MAX_RENDERED
    with pytest.raises(WorkflowError, match="the text is 1000001 characters long with its values"):
        render("${a}" * 1000 + "y", values)
