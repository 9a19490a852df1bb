"""Make a real server say a script, and read what it counts by itself."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from urllib.request import Request as HTTPRequest
from urllib.request import urlopen

from apr_agents.engines.base import Request
from apr_agents.engines.sglang.engine import SGLangEngine
from apr_agents.engines.tokenizer import Tokenizer
from tests.sglang.serve import MODEL

TOKENIZER = Tokenizer(MODEL / "tokenizer.json")
END = 2
"""The model's end of text."""
_SAMPLE = re.compile(r"([a-zA-Z_:]\w*(?::\w+)*)(?:\{.*\})? (\S+)")


class Script:
    """What a server says to each request of a branch in turn, by branch path; `""` is the run.

    Its mutable state is how many requests each branch has made.
    """

    def __init__(self, processor: str, texts: Mapping[str, Sequence[str]]) -> None:
        self._processor = processor
        self._texts = {path: iter(said) for path, said in texts.items()}

    def __call__(self, request: Request) -> Mapping[str, object]:
        """The fields of the request that make a server say the next text, and then its end of text."""
        ids = [*TOKENIZER.encode(next(self._texts[str(request.path)]), control=True), END]
        return {"custom_logit_processor": self._processor, "sampling_params": {"custom_params": {"script": ids}}}


def scripted_engine(url: str, processor: str, texts: Mapping[str, Sequence[str]]) -> SGLangEngine:
    """An engine for this server, which says these texts."""
    return SGLangEngine(url, tokenizer=MODEL, extend=Script(processor, texts))


def metrics(url: str) -> Mapping[str, float]:
    """What a server counts, by name, summed over labels."""
    with urlopen(f"{url}/metrics", timeout=30) as response:
        text = response.read().decode()
    found: dict[str, float] = defaultdict(float)
    for line in text.splitlines():
        sample = None if line.startswith("#") else _SAMPLE.match(line)
        if sample is not None:
            with suppress(ValueError):
                found[sample[1]] += float(sample[2])
    return found


def answer(url: str) -> None:
    """Have a server, or one behind a router, answer a request."""
    asked = {"text": "Numbers: 3 5 7 Target: 22", "sampling_params": {"max_new_tokens": 1}}
    headers = {"Content-Type": "application/json"}
    request = HTTPRequest(f"{url}/generate", json.dumps(asked).encode(), headers)
    with urlopen(request, timeout=30) as response:
        assert response.status == 200


def requests_of(urls: Sequence[str]) -> list[float]:
    """How many requests each server has had."""
    return [metrics(url)["sglang:num_requests_total"] for url in urls]


def forget(url: str) -> None:
    """Empty a server's cache, so that it holds nothing of earlier runs."""
    request = HTTPRequest(f"{url}/flush_cache", method="POST")
    with urlopen(request, timeout=30) as response:
        assert response.status == 200
