"""A script by branch, put into requests: what makes doubles, and real servers with a scripted model, say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from apr_agents.engines.base import Request
from tests.support.servers.speech import Speaker


class Saying:
    """By branch path (`""` is the run), what the model says to its requests in turn, as texts.

    Its mutable state is which contexts it has seen: a request that is sent again is told the same.
    """

    def __init__(
        self, script: Mapping[str, str | Sequence[str]], speaker: Speaker, processor: str | None = None
    ) -> None:
        """`processor`: the logit processor that makes a real server obey."""
        self._script = {path: (told,) if isinstance(told, str) else tuple(told) for path, told in script.items()}
        self._speaker = speaker
        self._processor = processor
        self._seen: dict[str, list[str]] = {}

    def text(self, request: Request) -> str:
        """What the model is to say to this request."""
        path = str(request.path)
        told, seen = self._script.get(path, ("",)), self._seen.setdefault(path, [])
        digest = "".join(segment.digest for segment in request.context.segments)
        if request.max_tokens and digest not in seen:
            seen.append(digest)
        turn = seen.index(digest) if digest in seen else 0
        return told[turn]

    def custom(self, request: Request) -> dict[str, object]:
        """The `custom_params` of this request: what the model is to say, and of which branch it is."""
        return {"script": list(self._speaker.script(self.text(request))), "branch": str(request.path)}

    def native(self, request: Request) -> dict[str, object]:
        """More fields for a body of /generate."""
        return {"sampling_params": {"custom_params": self.custom(request)}, **self._obeyed()}

    def openai(self, request: Request) -> dict[str, object]:
        """More fields for a body of the OpenAI wire."""
        return {"custom_params": self.custom(request), **self._obeyed()}

    def _obeyed(self) -> dict[str, object]:
        return {"custom_logit_processor": self._processor} if self._processor else {}
