"""Write the logit processor with which a server says what a script tells it to: `scripted_processor.py FILE`.

A request with FILE's text as `custom_logit_processor` and `"custom_params": {"script": [id, …]}` among its sampling
parameters gets exactly these ids, the last of them again and again. The server must run the same Python version, and
have been started with `--enable-custom-logit-processor`, which lets every client run code in it: never in production.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

try:
    import_module("sgl_kernel")
except ImportError:
    import_module("launch")  # what a machine without a GPU lacks

from sglang.srt.sampling.custom_logit_processor import CustomLogitProcessor


class Scripted(CustomLogitProcessor):
    """Leaves, in each row that has a script, its next token as the only possible one."""

    def __call__(self, logits, custom_param_list=None):  # noqa: ANN001, ANN204  # the server gets this as byte code
        for row, params in enumerate(custom_param_list or []):
            if params and "script" in params:
                script, said = params["script"], len(params["__req__"].output_ids)
                logits[row, :] = float("-inf")
                logits[row, script[min(said, len(script) - 1)]] = 0.0
        return logits


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(Scripted.to_str(), encoding="utf-8")
