"""llama.cpp's C API by ctypes, out of the wheel xllamacpp: structs, signatures, and a load that refuses others.

Layouts follow `include/llama.h` of the llama.cpp build that the wheel names in its version. They change between
builds, so the version is pinned and the defaults that the library itself returns are checked against ours.
"""

from __future__ import annotations

import ctypes as c
import os
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

from apr_agents.errors import EngineUnavailable

WHEEL = "xllamacpp"
VERSION = "2026.10.11549"
MAX_SEQUENCES = 256
"""llama.cpp's own limit on sequences in one context."""

_NEEDS = f"the embedded engine needs {WHEEL}=={VERSION}"
_MEND = f"install exactly that: pip install {WHEEL}=={VERSION}"
_QUIET = {"OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0"}
"""Idle OpenMP threads sleep instead of spinning; with a busy neighbour, spinning makes decoding 20 times slower."""

_bool, _float, _int, _uint, _pointer, _size = c.c_bool, c.c_float, c.c_int32, c.c_uint32, c.c_void_p, c.c_size_t
LogCallback = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)
_TAIL = ("tail", c.c_char * 256)
"""Room behind each struct that the library fills, so that a larger one of a foreign build overwrites nothing."""


class ModelParams(c.Structure):
    """`struct llama_model_params`."""

    _fields_ = [
        ("devices", _pointer),
        ("tensor_buft_overrides", _pointer),
        ("n_gpu_layers", _int),
        ("split_mode", _int),
        ("load_mode", _int),
        ("lazy_mode", _int),
        ("main_gpu", _int),
        ("tensor_split", _pointer),
        ("progress_callback", _pointer),
        ("progress_callback_user_data", _pointer),
        ("kv_overrides", _pointer),
        ("vocab_only", _bool),
        ("check_tensors", _bool),
        ("use_extra_bufts", _bool),
        ("no_host", _bool),
        ("no_alloc", _bool),
        ("load_mtp", _bool),
        _TAIL,
    ]


class ContextParams(c.Structure):
    """`struct llama_context_params`."""

    _fields_ = [
        ("n_ctx", _uint),
        ("n_batch", _uint),
        ("n_ubatch", _uint),
        ("n_seq_max", _uint),
        ("n_rs_seq", _uint),
        ("n_outputs_max", _uint),
        ("n_outputs_max_per_seq", _uint),
        ("n_threads", _int),
        ("n_threads_batch", _int),
        ("ctx_type", _int),
        ("rope_scaling_type", _int),
        ("pooling_type", _int),
        ("attention_type", _int),
        ("flash_attn_type", _int),
        ("rope_freq_base", _float),
        ("rope_freq_scale", _float),
        ("yarn_ext_factor", _float),
        ("yarn_attn_factor", _float),
        ("yarn_beta_fast", _float),
        ("yarn_beta_slow", _float),
        ("yarn_orig_ctx", _uint),
        ("defrag_thold", _float),
        ("cb_eval", _pointer),
        ("cb_eval_user_data", _pointer),
        ("type_k", _int),
        ("type_v", _int),
        ("moe_cache", _size),
        ("abort_callback", _pointer),
        ("abort_callback_data", _pointer),
        ("embeddings", _bool),
        ("offload_kqv", _bool),
        ("no_perf", _bool),
        ("op_offload", _bool),
        ("swa_full", _bool),
        ("kv_unified", _bool),
        ("samplers", _pointer),
        ("n_samplers", _size),
        ("ctx_other", _pointer),
        _TAIL,
    ]


class Batch(c.Structure):
    """`struct llama_batch`."""

    _fields_ = [
        ("n_tokens", _int),
        ("token", c.POINTER(_int)),
        ("embd", _pointer),
        ("pos", c.POINTER(_int)),
        ("n_seq_id", c.POINTER(_int)),
        ("seq_id", c.POINTER(c.POINTER(_int))),
        ("logits", c.POINTER(c.c_int8)),
    ]


class Override(c.Structure):
    """`struct llama_model_kv_override`; an array of them ends with an empty key."""

    _fields_ = [("tag", _int), ("key", c.c_char * 128), ("value", c.c_int64), ("rest", c.c_char * 120)]


class SamplerChainParams(c.Structure):
    """`struct llama_sampler_chain_params`."""

    _fields_ = [("no_perf", _bool)]


MODEL_DEFAULTS: Mapping[str, object] = {
    "n_gpu_layers": -1, "split_mode": 1, "load_mode": -1, "lazy_mode": 1, "main_gpu": 0, "kv_overrides": None,
    "vocab_only": False, "check_tensors": False, "use_extra_bufts": True, "no_host": False, "no_alloc": False,
    "load_mtp": False,
}  # fmt: skip
"""What `llama_model_default_params` returns in the pinned build, where our fields say."""

CONTEXT_DEFAULTS: Mapping[str, object] = {
    "n_ctx": 512, "n_batch": 2048, "n_ubatch": 512, "n_seq_max": 1, "n_rs_seq": 0, "n_outputs_max": 0,
    "n_outputs_max_per_seq": 1, "n_threads": 4, "n_threads_batch": 4, "ctx_type": 0, "rope_scaling_type": -1,
    "pooling_type": -1, "attention_type": -1, "flash_attn_type": -1, "yarn_ext_factor": -1.0, "yarn_beta_slow": -1.0,
    "defrag_thold": -1.0, "cb_eval": None, "type_k": 1, "type_v": 1, "moe_cache": 0, "abort_callback": None,
    "embeddings": False, "offload_kqv": True, "no_perf": True, "op_offload": True, "swa_full": True,
    "kv_unified": False, "samplers": None, "n_samplers": 0, "ctx_other": None,
}  # fmt: skip
"""What `llama_context_default_params` returns in the pinned build, where our fields say."""

_SIGNATURES: Mapping[str, tuple[Any, ...]] = {
    "llama_backend_init": (None,),
    "llama_log_set": (None, LogCallback, _pointer),
    "llama_model_default_params": (ModelParams,),
    "llama_context_default_params": (ContextParams,),
    "llama_model_load_from_file": (_pointer, c.c_char_p, ModelParams),
    "llama_model_free": (None, _pointer),
    "llama_init_from_model": (_pointer, _pointer, ContextParams),
    "llama_free": (None, _pointer),
    "llama_model_get_vocab": (_pointer, _pointer),
    "llama_model_n_ctx_train": (_int, _pointer),
    "llama_model_n_embd": (_int, _pointer),
    "llama_model_n_head": (_int, _pointer),
    "llama_model_n_head_kv": (_int, _pointer),
    "llama_model_n_layer": (_int, _pointer),
    "llama_model_size": (c.c_uint64, _pointer),
    "llama_model_has_encoder": (_bool, _pointer),
    "llama_model_has_decoder": (_bool, _pointer),
    "llama_model_is_diffusion": (_bool, _pointer),
    "llama_model_is_hybrid": (_bool, _pointer),
    "llama_model_is_recurrent": (_bool, _pointer),
    "llama_model_meta_val_str": (_int, _pointer, c.c_char_p, c.c_char_p, _size),
    "llama_vocab_n_tokens": (_int, _pointer),
    "llama_vocab_get_attr": (_int, _pointer, _int),
    "llama_vocab_is_eog": (_bool, _pointer, _int),
    "llama_vocab_is_control": (_bool, _pointer, _int),
    "llama_vocab_bos": (_int, _pointer),
    "llama_vocab_eos": (_int, _pointer),
    "llama_vocab_get_add_bos": (_bool, _pointer),
    "llama_tokenize": (_int, _pointer, c.c_char_p, _int, c.POINTER(_int), _int, _bool, _bool),
    "llama_token_to_piece": (_int, _pointer, _int, c.c_char_p, _int, _int, _bool),
    "llama_n_ctx": (_uint, _pointer),
    "llama_n_batch": (_uint, _pointer),
    "llama_get_memory": (_pointer, _pointer),
    "llama_memory_seq_cp": (None, _pointer, _int, _int, _int, _int),
    "llama_memory_seq_rm": (_bool, _pointer, _int, _int, _int),
    "llama_memory_seq_pos_max": (_int, _pointer, _int),
    "llama_decode": (_int, _pointer, Batch),
    "llama_sampler_chain_init": (_pointer, SamplerChainParams),
    "llama_sampler_chain_add": (None, _pointer, _pointer),
    "llama_sampler_init_greedy": (_pointer,),
    "llama_sampler_init_temp": (_pointer, _float),
    "llama_sampler_init_top_k": (_pointer, _int),
    "llama_sampler_init_top_p": (_pointer, _float, _size),
    "llama_sampler_init_dist": (_pointer, _uint),
    "llama_sampler_sample": (_int, _pointer, _pointer, _int),
    "llama_sampler_free": (None, _pointer),
}
"""Each function's result and then its arguments."""


class Library:
    """The loaded library: its functions as attributes of `api`, and the last lines that it logged."""

    def __init__(self, path: Path) -> None:
        """Raises EngineUnavailable when it cannot be loaded or is not the build that this was written for."""
        self.api = _bound(path)
        self._log: deque[str] = deque(maxlen=64)
        self._callback = LogCallback(self._keep)  # ctypes keeps no reference of its own
        self.api.llama_log_set(self._callback, None)
        check_defaults("llama_model_params", self.api.llama_model_default_params(), MODEL_DEFAULTS)
        check_defaults("llama_context_params", self.api.llama_context_default_params(), CONTEXT_DEFAULTS)
        self.api.llama_backend_init()

    def _keep(self, level: int, text: bytes | None, _data: int | None) -> None:
        warning, continued = 3, 5
        if warning <= level < continued and text:
            self._log.append(text.decode("utf-8", "replace").strip())

    def forget(self) -> None:
        """Forget what was logged so far."""
        self._log.clear()

    def reason(self) -> str:
        """The first thing that went wrong since `forget`, in llama.cpp's own words, on one line; may be empty."""
        lines = [" ".join(line.split()) for line in self._log]
        errors = [line for line in lines if "error" in line or "fail" in line]
        return (errors or lines or [""])[0][:300]


def check_defaults(struct: str, found: c.Structure, expected: Mapping[str, object]) -> None:
    """Raises EngineUnavailable when a field does not hold the default of the pinned build."""
    for name, value in expected.items():
        if getattr(found, name) != value:
            raise EngineUnavailable(
                f"{_NEEDS}: in the one installed, {struct}.{name} is {getattr(found, name)!r}, not {value!r}; {_MEND}"
            )


@lru_cache(maxsize=1)
def load() -> Library:
    """The library, loaded once for the process. Raises EngineUnavailable, with the mend in the message."""
    return Library(_find())


def _find() -> Path:
    try:
        version = metadata.version(WHEEL)
    except metadata.PackageNotFoundError:
        raise EngineUnavailable(f"{_NEEDS}, which is not installed; {_MEND}") from None
    if version != VERSION:
        raise EngineUnavailable(f"{_NEEDS}, not {version}, whose structs may differ; {_MEND}")
    spec = util.find_spec(WHEEL)
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    found = sorted(folder.glob(f"{WHEEL}*.so"))
    if not found:
        raise EngineUnavailable(f"{_NEEDS} with its library {WHEEL}*.so, which {folder} lacks (Windows has none)")
    return found[0]


def _bound(path: Path) -> c.CDLL:
    try:
        with _environment(_QUIET):
            api = c.CDLL(str(path))
    except OSError as error:
        raise EngineUnavailable(load_message(str(error))) from error
    for name, (result, *arguments) in _SIGNATURES.items():
        try:
            function = getattr(api, name)
        except AttributeError:
            raise EngineUnavailable(f"{_NEEDS}: {path} does not export {name}; {_MEND}") from None
        function.restype, function.argtypes = result, arguments
    return api


def load_message(reason: str) -> str:
    """One line with the mend for what the dynamic loader said."""
    if "libgomp" in reason:
        return "llama.cpp needs the system's libgomp.so.1; install it: apt-get install libgomp1, or dnf install libgomp"
    return f"llama.cpp could not be loaded: {' '.join(reason.split())}; {_MEND}"


@contextmanager
def _environment(values: Mapping[str, str]) -> Generator[None]:
    """Set these variables where the user has not, for as long as the block: OpenMP reads them when it is loaded."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
