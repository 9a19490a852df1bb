"""What of a run's text is its answer."""

from __future__ import annotations

from apr_agents.dialects import Dialect


def answer_of(text: str, dialect: Dialect) -> str:
    """The text behind the last block, and behind `</think>` where the model thinks first; stripped.

    Where the run ends with the block's conclusion: what the model wrote of that.
    """
    if dialect.ends_at:
        return text.removesuffix(dialect.ends_at).rpartition(dialect.join_tail)[2].strip()
    close = dialect.tags.conclusion_close if dialect.conclusion == "after" else dialect.tags.block_close
    for tag in (close, "</think>"):
        if tag:
            text = text.rpartition(tag)[2]
    return text.strip()
