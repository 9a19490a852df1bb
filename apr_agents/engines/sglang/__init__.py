"""SGLang servers as engines: the native endpoint, exact ids, the server's own counts and timings."""

from apr_agents.engines.sglang.engine import SGLangEngine
from apr_agents.engines.sglang.server import ServerFacts

__all__ = ["SGLangEngine", "ServerFacts"]
