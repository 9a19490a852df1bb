"""The tokenizer of the training, built from the vocabulary with the package `tokenizers`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from . import vocabulary
from .vocabulary import BOS, EOS, PAD, THINK, THINK_CALLS, THINK_NESTED, THINK_SEQUENTIAL

# One user message is a prompt: system messages are dropped, the mode chooses the tag, nothing else is added.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ message['content'] }}"
    "{% endif %}{% endfor %}{{ '\\n' }}"
    f"{{% if mode == 'sequential' %}}{THINK_SEQUENTIAL}"
    f"{{% elif mode == 'calls' %}}{THINK_CALLS}"
    f"{{% elif mode == 'nested' %}}{THINK_NESTED}"
    f"{{% else %}}{THINK}{{% endif %}}"
)


def build() -> Tokenizer:
    """A byte-level BPE with the pre-tokenizer of GPT-2; the control tags are special tokens."""
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary.ids(), merges=vocabulary.merges()))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(tag, special=True, normalized=False) for tag in vocabulary.CONTROL])
    return tokenizer


class Encoder:
    """Encodes text as the library's engines do: control tags are control only where the caller says so."""

    def __init__(self) -> None:
        self._control = build()
        self._plain = build()
        self._plain.encode_special_tokens = True

    def __call__(self, text: str, *, control: bool) -> tuple[int, ...]:
        tokenizer = self._control if control else self._plain
        return tuple(tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids, control tags included."""
        return self._control.decode(list(ids), skip_special_tokens=False)


def save(folder: Path) -> None:
    """Writes `tokenizer.json`; the same vocabulary and merges go into the GGUF file."""
    build().save(str(folder / "tokenizer.json"))


def config() -> dict[str, Any]:
    """What `tokenizer_config.json` holds."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 4096,
        "chat_template": CHAT_TEMPLATE,
    }
