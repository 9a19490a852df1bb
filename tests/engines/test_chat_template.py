"""Chat templates: what they write is theirs, what a message says stays the message's."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.engines.base import Message
from apr_agents.engines.chat_template import Part, render
from apr_agents.errors import EngineError

CHATML = (
    "{%- for message in messages -%}<|im_start|>{{ message.role }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor -%}\n{%- if add_generation_prompt -%}<|im_start|>assistant\n{%- endif -%}"
)
TRIMS = "{% for message in messages %}[{{ message['content'] | trim }}]{% endfor %}"
TESTS = (
    "{% for message in messages %}{% if message.content is string and message.content %}"
    "{% if '</think>' in message.content %}{{ message.content.split('</think>')[-1] }}{% else %}{{ message.content }}"
    "{% endif %}{% else %}none{% endif %};{% endfor %}"
)
REPEATS = "{{ messages[0].content }}|{{ messages[0].content }}"
JSON = "{{ messages[0] | tojson }}"
SHIPPED = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ message['content'] }}"
    "{% endif %}{% endfor %}{{ '\\n' }}{% if mode == 'sequential' %}<think-seq>{% else %}<think>{% endif %}"
)


def user(text: str) -> Message:
    return Message("user", text)


def text_of(parts: tuple[Part, ...]) -> str:
    return "".join(part.text for part in parts)


CONTENT = st.text(st.one_of(st.sampled_from("<|>/im_endT \n{}%\"'\\"), st.characters()), max_size=30)


@given(st.lists(st.tuples(st.sampled_from(("system", "user", "assistant", "tool")), CONTENT), min_size=1, max_size=4))
def test_every_content_comes_out_where_the_template_puts_it_and_as_data(said: list[tuple[str, str]]) -> None:
    messages = [Message(role, content) for role, content in said]  # pyright: ignore[reportArgumentType]
    parts = render(CHATML, messages, {})
    expected = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in said)
    assert text_of(parts) == expected + "<|im_start|>assistant"
    assert [part.text for part in parts if not part.control] == [c.strip() for _, c in said if c.strip()]


@pytest.mark.parametrize(
    ("template", "content", "expected"),
    [
        (TRIMS, "  a b \n", "[a b]"),
        (TRIMS, "   ", "[]"),
        (TESTS, "x", "x;"),
        (TESTS, "", "none;"),
        (TESTS, "a</think>b", "a</think>b;"),
        (REPEATS, "x", "x|x"),
        ("{{ messages[0].content }}\n  {% if true %}\ny\n  {% endif %}\n", "x", "x\ny\n"),
        ("{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{% endfor %}!", "x", "!"),
    ],
)
def test_templates_that_trim_test_and_repeat(template: str, content: str, expected: str) -> None:
    assert text_of(render(template, [user(content)], {})) == expected


@given(CONTENT)
def test_a_content_in_json_is_escaped_as_json(content: str) -> None:
    parts = render(JSON, [user(content)], {})
    assert json.loads(text_of(parts)) == {"role": "user", "content": content}


@pytest.mark.parametrize(("mode", "tag"), [("sequential", "<think-seq>"), ("adaptive", "<think>")])
def test_variables_choose(mode: str, tag: str) -> None:
    parts = render(SHIPPED, [Message("system", "dropped"), user("<think>1")], {"mode": mode, "bos_token": "<bos>"})
    assert parts == (Part("<bos>", control=True), Part("<think>1", control=False), Part(f"\n{tag}", control=True))


def test_todays_date_is_a_value_that_is_passed_in() -> None:
    assert render("{{ strftime_now('%d %b %Y') }}", [user("x")], {}, today=date(2026, 11, 21))[0].text == "21 Nov 2026"


@pytest.mark.parametrize("filtered", ["upper", "lower", "truncate(20, true, '')", "replace('Z', 'y')"])
def test_a_template_that_rewrites_a_message_is_refused(filtered: str) -> None:
    with pytest.raises(EngineError, match="cuts or rewrites a message's text"):
        render(f"{{{{ messages[0].content | {filtered} }}}}", [user("hello")], {})


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ raise_exception('only users') }}", "only users"),
        ("{% for %}", "the chat template failed"),
        ("{{ nothing.here }}", "undefined"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "not safely callable|unsafe"),
        ("{{ cycler.__init__.__globals__ }}", "unsafe"),
        ("{{ 'a' * 100000000 }}", "refused"),
        ("{{ 9 ** 9 }}", "refused"),
        ("{% for i in range(99999999) %}{% endfor %}", "the chat template failed"),
        ("{% for i in range(99999) %}{% for j in range(99) %}{% endfor %}{{ range(1)[0] }}{% endfor %}", "calls"),
        ("{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}", "writes more than"),
        ("{{ 1 / 0 }}", "the chat template failed"),
        ("x" * 300_000, "more than 262144"),
    ],
)  # fmt: skip
def test_a_template_that_fails_or_asks_for_too_much(template: str, says: str) -> None:
    with pytest.raises(EngineError, match=says) as caught:
        render(template, [user("x")], {})
    assert "\n" not in str(caught.value)


def test_a_message_cannot_imitate_another() -> None:
    first = render(REPEATS, [user("x")], {})
    again = render(REPEATS, [user(first[0].text + "qXz000000R"), user("secret")], {})
    assert "secret" not in text_of(again)
