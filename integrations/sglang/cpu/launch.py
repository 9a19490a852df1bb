"""Start a real SGLang server on a machine without a GPU: `launch.py --model-path FOLDER [any flag of the server]`.

HTTP server, scheduler, radix cache, batching, streaming, aborts and metrics are SGLang's own. What it imports and a CPU
cannot have is put in place here, and nothing that is installed is edited. SGLang's child processes run this file again,
as `__mp_main__`, so that the same holds in them.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import runpy
import sys
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import NoReturn
from unittest import mock

os.environ.setdefault("SGLANG_USE_CPU_ENGINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # a token of a small model takes 3 ms with one thread, 100 ms with two
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

import torch
from torch import library

DEFAULTS = (
    *("--device", "cpu"),
    *("--dtype", "float32"),
    *("--attention-backend", "torch_native"),
    *("--max-total-tokens", "32768"),
    *("--max-running-requests", "64"),
    *("--random-seed", "0"),
    *("--watchdog-timeout", "600"),
    "--disable-overlap-schedule",
    "--sleep-on-idle",
)
"""Flags that stand before the caller's own, so that the caller's win."""


def declare_torchvision_operators() -> None:
    """Declare two operators, which torchvision looks up when it is imported.

    Its wheels hold a CUDA build, whose compiled half does not load beside a CPU build of torch.
    """
    signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"  # torchvision's own
    for name in ("nms", "qnms"):
        with suppress(RuntimeError):  # it did load, and has declared its own
            library.define(f"torchvision::{name}", signature)


def stand_in_for_kernels() -> None:
    """Put an empty module where `sgl_kernel` would be, which there is for CUDA only.

    It registers no operator, so SGLang takes its own code in torch; a function of it that is called all the same
    raises.
    """
    module = ModuleType("sgl_kernel", "No compiled kernels.")
    module.__path__ = []
    module.__spec__ = ModuleSpec("sgl_kernel", None, is_package=True)
    vars(module).update(__version__="0.0.0", __getattr__=missing_kernel)
    sys.modules["sgl_kernel"] = module


def missing_kernel(name: str) -> object:
    """A function in place of a kernel, for imports by name; it raises when it is called."""
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*_args: object, **_kwargs: object) -> NoReturn:
        raise NotImplementedError(f"sgl_kernel.{name}: there are no compiled kernels on this machine")

    return missing


def stand_in_for_triton() -> None:
    """Install the stand-in for Triton that SGLang brings for Apple's machines; Triton itself would take 1 GB."""
    package = importlib.util.find_spec("sglang")
    if importlib.util.find_spec("triton") is not None or package is None or not package.submodule_search_locations:
        return
    file = Path(package.submodule_search_locations[0]) / "_platform_stubs.py"
    spec = importlib.util.spec_from_file_location("_sglang_platform_stubs", file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file} is not there: this file is for the version of SGLang in requirements.txt")
    stubs = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stubs)
    with (
        mock.patch.object(sys, "platform", "darwin"),
        mock.patch.object(platform, "machine", return_value="arm64"),
        mock.patch.object(torch.backends.mps, "is_available", return_value=True),
    ):
        stubs.install_platform_stubs()


declare_torchvision_operators()
stand_in_for_kernels()
stand_in_for_triton()

if __name__ == "__main__":
    sys.argv[:] = ["sglang.launch_server", *DEFAULTS, *sys.argv[1:]]
    runpy.run_module("sglang.launch_server", run_name="__main__", alter_sys=False)
