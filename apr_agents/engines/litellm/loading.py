"""LiteLLM itself, imported where it is first needed: it takes seconds and 150 MB."""

from __future__ import annotations

import os
import warnings
from typing import Any, TypeAlias

from apr_agents.errors import EngineUnavailable

Foreign: TypeAlias = Any
"""A value of LiteLLM's, which has no types that would hold."""
LEFT_BEHIND = r"coroutine '(BaseLLMHTTPHandler|OpenAI\w+|SGLangProvider)\.\w+' was never awaited"


def load() -> Foreign:
    """The module litellm: quiet, and without fetching its price map from the network.

    Raises EngineUnavailable where it is not installed.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        import litellm
    except ImportError as error:
        raise EngineUnavailable(f"package {error.name} is missing: pip install 'apr-agents[litellm]'") from error
    # LiteLLM builds its types at the first call, and pydantic remarks upon them wherever that is.
    warnings.filterwarnings(
        "ignore", "Item '.*' on TypedDict class '.*' is using the `ReadOnly` qualifier", UserWarning
    )
    # A request that is cancelled while LiteLLM prepares it leaves a coroutine behind, which had sent nothing yet.
    warnings.filterwarnings("ignore", LEFT_BEHIND, RuntimeWarning)
    litellm.suppress_debug_info = True
    return litellm
