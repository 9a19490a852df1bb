"""The embedded engine: llama.cpp in the process, by its C API. Importing this loads no library."""

from apr_agents.engines.llamacpp.engine import EmbeddedEngine

__all__ = ["EmbeddedEngine"]
