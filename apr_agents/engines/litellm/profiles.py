"""What the servers behind the OpenAI wire make of it: what they may be asked for, and what they say at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from apr_agents.engines.base import Request

_Fields = tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of server."""

    name: str
    keep: _Fields = ()
    """Fields that keep a stop in the text that it ends."""
    show: _Fields = ()
    """Fields that show special tokens, such as a trained model's control tags."""
    matched: str | None = None
    """The field of a choice that says at which stop it ended."""
    stopped: str | None = None
    """The finish reason of a text that ended at one of the request's stops, where it is not `stop`."""
    samples: bool = False
    """Whether it takes `top_k` and `stop_token_ids`."""
    continues: bool = False
    """Whether it continues the last message of a chat, when it is the assistant's."""
    more: _Fields = ()
    """Other fields of a chat."""

    @property
    def stops(self) -> bool:
        """Whether the server is asked to stop. One that cuts a stop off and does not say which it was is not: the text
        is watched here and its stream closed, since nothing would tell a stop from the model's own end."""
        return self.matched is not None or self.stopped is not None


_SHOW = (("skip_special_tokens", False), ("spaces_between_special_tokens", False))
_KEEP = (("include_stop_str_in_output", True),)

SGLANG = Profile(
    "sglang",
    keep=(("no_stop_trim", True),),
    show=_SHOW,
    matched="matched_stop",
    samples=True,
    continues=True,
    more=(("separate_reasoning", False),),
)
VLLM = Profile("vllm", keep=_KEEP, show=_SHOW, matched="stop_reason", samples=True, continues=True)
TENSORRT = Profile("tensorrt-llm", keep=_KEEP, show=_SHOW, matched="stop_reason", samples=True)
TGI = Profile("tgi", stopped="stop_sequence")
OPENAI = Profile("openai")

PROFILES: Mapping[str, Profile] = MappingProxyType({p.name: p for p in (SGLANG, VLLM, TENSORRT, TGI, OPENAI)})
_OWNERS = MappingProxyType({"sglang": SGLANG, "vllm": VLLM, "tensorrt_llm": TENSORRT, "tensorrt-llm": TENSORRT})


def profile_of(owner: str) -> Profile:
    """The profile of a server whose models are `owned_by` this, as its /v1/models says."""
    return _OWNERS.get(owner, OPENAI)


def asked(profile: Profile, request: Request, *, shown: bool) -> dict[str, object]:
    """The fields of a body that this kind of server has beyond LiteLLM's own; `shown`: special tokens in the text."""
    fields: dict[str, object] = dict(profile.show if shown else ())
    if profile.stops and request.stops:
        fields |= {"stop": list(request.stops), **dict(profile.keep)}
    if profile.samples:
        if request.stop_ids:
            fields["stop_token_ids"] = list(request.stop_ids)
        if request.sampling.temperature and request.sampling.top_k:
            fields["top_k"] = request.sampling.top_k
    return fields
