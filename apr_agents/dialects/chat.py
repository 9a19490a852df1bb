"""Where a model's answer begins in a text that may carry a chat prompt, whose tags are quoted and open nothing."""

from __future__ import annotations

import re
from typing import Final

_MARKERS: Final = re.compile(
    r"<\|im_start\|>assistant[^\S\n]*\n?"  # ChatML: Qwen, SmolLM, Yi
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>\s{0,2}"  # Llama 3
    r"|<\|header_start\|>assistant<\|header_end\|>\s{0,2}"  # Llama 4
    r"|<\|start\|>assistant(?:<\|channel\|>\w{1,16})?<\|message\|>"  # gpt-oss
    r"|<start_of_turn>model\n?"  # Gemma
    r"|<\|assistant\|>\n?"  # Phi, GLM, Zephyr
    r"|<\|Assistant\|>|<｜Assistant｜>"  # DeepSeek
    r"|<\|CHATBOT_TOKEN\|>"  # Command
    r"|<\|start_of_role\|>assistant<\|end_of_role\|>"  # Granite
    r"|\[/INST\]"  # Llama 2, Mistral
    r"|^(?:Assistant|ASSISTANT):",  # Vicuna, and prompts to base models
    re.MULTILINE,
)


def answer_start(text: str) -> int:
    """The offset behind the last mark of an assistant's turn in the usual chat templates; 0 if there is none.

    The last one: earlier answers in a conversation are its client's text by now.
    """
    start = 0
    for found in _MARKERS.finditer(text):
        start = found.end()
    return start
