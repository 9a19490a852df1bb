"""Facts of engines on which nothing is wrong."""

from __future__ import annotations

from apr_agents.doctor.facts import DialectFacts, Facts, Probe, Process, Server
from apr_agents.engines.base import EngineInfo

SETTINGS: dict[str, object] = {
    "schedule_policy": "lpm",
    "page_size": 1,
    "incremental_streaming_output": True,
    "enable_metrics": True,
    "enable_cache_report": True,
    "disable_radix_cache": False,
    "strip_thinking_cache": False,
}
SERVER = Server("http://127.0.0.1:30000", "0.5.21", 32_768, router=False, workers=0, settings=SETTINGS)
ROUTER = Server("http://127.0.0.1:30000", "0.5.21", 32_768, router=True, workers=2, settings=SETTINGS)
TRAINED = DialectFacts("threadweaver", trained=True, tags={"<Parallel>": 1, "</Parallel>": 1})
TEXT = DialectFacts("threadweaver", trained=True, tags={"<Parallel>": None, "</Parallel>": None})
PROBE = Probe(shared=250, expected=250, cached=250, timed=True)
NATIVE = Facts(
    spec="sglang:http://127.0.0.1:30000",
    info=EngineInfo("sglang:countdown", 4096, ("threadweaver",), warms=True),
    wire="native",
    ids="tokenizer.json, compared with the server's",
    template=None,
    dialect=TRAINED,
    probe=PROBE,
    server=SERVER,
)
CHAT = Facts(
    spec="litellm:hosted_vllm/countdown",
    info=EngineInfo("litellm:hosted_vllm/countdown", 4096, ("threadweaver",)),
    wire="chat",
    ids="none",
    template=None,
    dialect=TEXT,
    probe=Probe(shared=250, expected=125, cached=246, timed=False),
    server=SERVER,
)
EMBEDDED = Facts(
    spec="embedded",
    info=EngineInfo("embedded:countdown", 4096, ("threadweaver",), warms=True),
    wire="process",
    ids="the model file's own vocabulary",
    template=None,
    dialect=TRAINED,
    probe=PROBE,
    process=Process("model.gguf", threads=1, cache_tokens=4096, sequences=64, exact=False),
)
