"""Dialects as data, and the parser of the text that models write in them."""

from apr_agents.dialects.dialect import Dialect, Tags
from apr_agents.dialects.load import dialect_names, load_dialect

__all__ = ["Dialect", "Tags", "dialect_names", "load_dialect"]
