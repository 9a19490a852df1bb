"""A GGUF file loaded by llama.cpp: its metadata, its vocabulary, text to ids and ids to text."""

from __future__ import annotations

import ctypes as c
from functools import cached_property
from pathlib import Path

from apr_agents.engines.llamacpp.bindings import Library, Override
from apr_agents.errors import EngineError, EngineUnavailable

_UNKNOWN, _CONTROL, _USER_DEFINED = 1 << 0, 1 << 3, 1 << 4
"""Bits of `enum llama_token_attr`."""
_BOOLEAN = 2
"""`LLAMA_KV_OVERRIDE_TYPE_BOOL`."""
_BRACKETS = (("<", ">"), ("[", "]"), ("{", "}"))


class Model:
    """A loaded model; `close` frees it. Everything but `close` may be called from any thread."""

    def __init__(self, library: Library, path: Path) -> None:
        """Raises EngineUnavailable when the file cannot be read or is no model that generates text."""
        check_file(path)
        self.path = path
        self._library, self._api = library, library.api
        params = self._api.llama_model_default_params()
        self._overrides = (Override * 2)(Override(_BOOLEAN, b"tokenizer.ggml.add_space_prefix", 0))
        params.kv_overrides = c.addressof(self._overrides)  # a space put in front of text would make it another text
        library.forget()
        self.handle: int | None = self._api.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            reason = library.reason() or "it gave no reason"
            raise EngineUnavailable(f"llama.cpp cannot load {path}: {reason}; get the file again, or another model")
        self._vocab: int = self._api.llama_model_get_vocab(self.handle)
        self.size: int = self._api.llama_vocab_n_tokens(self._vocab)
        self.window: int = self._api.llama_model_n_ctx_train(self.handle)
        self._check_kind()
        _ = self.ends, self.controls  # a pass over the whole vocabulary each, so not at the first request

    def _check_kind(self) -> None:
        api, handle = self._api, self.handle
        generates = api.llama_model_has_decoder(handle) and not api.llama_model_has_encoder(handle)
        if not generates or api.llama_model_is_diffusion(handle) or not self.size:
            self.close()
            raise EngineUnavailable(f"{self.path} does not generate text left to right; use a GGUF of a causal model")

    def close(self) -> None:
        if self.handle:
            self._api.llama_model_free(self.handle)
        self.handle = None

    def meta(self, key: str) -> str | None:
        """The metadata value of this key as text; None when the file has none."""
        length: int = self._api.llama_model_meta_val_str(self.handle, key.encode(), None, 0)
        if length < 0:
            return None
        buffer = c.create_string_buffer(length + 1)
        self._api.llama_model_meta_val_str(self.handle, key.encode(), buffer, length + 1)
        return buffer.value.decode("utf-8", "replace")

    @cached_property
    def name(self) -> str:
        return self.meta("general.name") or self.path.stem

    @cached_property
    def rewinds(self) -> bool:
        """Whether a sequence can be cut at any token; recurrent and hybrid models keep only their newest state."""
        return not (self._api.llama_model_is_recurrent(self.handle) or self._api.llama_model_is_hybrid(self.handle))

    @cached_property
    def spare(self) -> int:
        """Tokens whose cached keys and values, of 16 bits, take as many bytes as the weights."""
        width = self._api.llama_model_n_embd(self.handle) // max(1, self._api.llama_model_n_head(self.handle))
        heads = self._api.llama_model_n_head_kv(self.handle) * self._api.llama_model_n_layer(self.handle)
        return self._api.llama_model_size(self.handle) // max(1, 2 * 2 * width * heads)

    @cached_property
    def adds_bos(self) -> bool:
        """Whether a prompt must begin with the beginning-of-text token."""
        return bool(self._api.llama_vocab_get_add_bos(self._vocab)) and self.bos is not None

    @cached_property
    def bos(self) -> int | None:
        token: int = self._api.llama_vocab_bos(self._vocab)
        return token if token >= 0 else None

    @cached_property
    def eos(self) -> int | None:
        token: int = self._api.llama_vocab_eos(self._vocab)
        return token if token >= 0 else None

    @cached_property
    def ends(self) -> frozenset[int]:
        """The ids that end generation: end of text, end of turn, and whatever else llama.cpp counts as one."""
        return frozenset(token for token in range(self.size) if self._api.llama_vocab_is_eog(self._vocab, token))

    @cached_property
    def controls(self) -> frozenset[int]:
        """The ids that plain text may never become: special tokens, and added ones that look like a tag.

        llama.cpp itself matches added ("user defined") tokens in plain text; a file may well keep its tags there.
        """
        return frozenset(token for token in range(self.size) if self._is_control(token))

    def _is_control(self, token: int) -> bool:
        attributes: int = self._api.llama_vocab_get_attr(self._vocab, token)
        if attributes & _USER_DEFINED:
            return looks_like_tag(self.text(token))
        return bool(attributes & (_CONTROL | _UNKNOWN))

    def piece(self, token: int) -> bytes:
        """The bytes of this token as a reader sees them, control tags included; may end inside a character."""
        buffer = c.create_string_buffer(64)
        length: int = self._api.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, True)
        if length < 0:
            buffer = c.create_string_buffer(-length)
            length = self._api.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, True)
        return buffer.raw[: max(length, 0)]

    def text(self, token: int | None) -> str:
        """A token as text; None: no text."""
        return "" if token is None else self.piece(token).decode("utf-8", "replace")

    def pieces(self, ids: list[int]) -> bytes:
        return b"".join(map(self.piece, ids))

    def tokenize(self, text: str, *, control: bool) -> list[int]:
        """llama.cpp's own tokens of this text, nothing added in front or behind."""
        data = text.encode("utf-8")
        room = len(data) + 16
        ids = (c.c_int32 * room)()
        count: int = self._api.llama_tokenize(self._vocab, data, len(data), ids, room, False, control)
        if count < 0:
            raise EngineError(f"llama.cpp could not encode {text[:40]!r}")
        return ids[:count]


def looks_like_tag(text: str) -> bool:
    """Whether a token's text is in brackets, such as `<Thread>`, `<|im_end|>` or `[INST]`."""
    text = text.strip()
    return len(text) > 2 and any(text.startswith(left) and text.endswith(right) for left, right in _BRACKETS)


def check_file(path: Path) -> None:
    """Raises EngineUnavailable when this is not a file that begins as a GGUF file does."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise EngineUnavailable(f"the model {path} cannot be read: {error.strerror}; check the path") from error
    if magic != b"GGUF":
        raise EngineUnavailable(f"{path} is not a GGUF file; give a model in llama.cpp's format (.gguf)")
