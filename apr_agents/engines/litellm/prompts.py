"""Prompts for models that take text only: messages of a chat, or one text in the model's own chat template.

The context of a chat begins with a segment for each message, the role on its first line; what follows is the
assistant's. A server that can is asked to continue the assistant's message where it ends. Any other gets it as a whole
message, and a short request of ours to go on behind it: what the model then writes stands behind the text all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import takewhile

from apr_agents.context import Context, Origin, Segment
from apr_agents.engines import chat_template
from apr_agents.engines.base import Message
from apr_agents.engines.tokenizer import ChatFormat
from apr_agents.errors import EngineError

GO_ON = "Go on exactly where your last message ends, in the same form. Repeat nothing of it and explain nothing."


def chat_context(messages: Sequence[Message]) -> Context:
    """These messages as a context."""
    if not messages:
        raise EngineError("there is no message to answer")
    return Context.of(*(Segment(f"{one.role}\n{one.content}", None, Origin.client) for one in messages))


def chat_of(context: Context, *, continues: bool) -> dict[str, object]:
    """The fields of a chat's body that this context makes; `continues`: the server continues a message."""
    segments = context.segments
    asked = list(takewhile(lambda segment: segment.origin is Origin.client, segments))
    messages = [_message(segment.text) for segment in asked]
    said = "".join(segment.text for segment in segments[len(asked) :])
    if not said:
        return {"messages": messages}
    messages.append({"role": "assistant", "content": said})
    if continues:
        return {"messages": messages, "continue_final_message": True, "add_generation_prompt": False}
    return {"messages": [*messages, {"role": "user", "content": GO_ON}]}


def _message(text: str) -> dict[str, str]:
    role, _, content = text.partition("\n")
    return {"role": role, "content": content}


def text_context(
    form: ChatFormat, controls: Sequence[str], messages: Sequence[Message], variables: Mapping[str, str]
) -> Context:
    """These messages in a chat template. Control tokens in a message's own text are broken by a backslash, since text
    is all that the server gets."""
    parts = chat_template.render(form.template, messages, {**form.variables, **variables}, today=date.today())
    segments = [
        Segment(part.text if part.control else broken(part.text, controls), None, Origin.client) for part in parts
    ]
    return Context.of(*(segment for segment in segments if segment.text))


def broken(text: str, controls: Sequence[str]) -> str:
    r"""This text with a backslash behind the first character of each control token (`<\think>`)."""
    for control in controls:
        if len(control) > 1:
            text = text.replace(control, f"{control[0]}\\{control[1:]}")
    return text
