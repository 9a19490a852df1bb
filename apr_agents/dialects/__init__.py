"""Dialects as data, and the parser of the text that models write in them."""

from apr_agents.dialects.dialect import Dialect, Tags

__all__ = ["Dialect", "Tags"]
