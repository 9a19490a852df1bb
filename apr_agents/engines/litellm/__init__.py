"""Models behind LiteLLM as engines, and SGLang's native endpoint as a provider of LiteLLM's."""

from apr_agents.engines.litellm.engine import LiteLLMEngine

__all__ = ["LiteLLMEngine"]
