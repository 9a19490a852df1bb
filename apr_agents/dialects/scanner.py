"""Finds a dialect's tags in text that comes in pieces; what a tag means is the parser's matter.

Every tag begins with `<` and holds no other, so a tag that may be unfinished begins at the last `<`: nothing but that
suffix is ever held back, and no character is looked at more often than the longest tag is long.
"""

from __future__ import annotations

import re
from functools import cache

from apr_agents.dialects.dialect import Tags


@cache
def _grammar(tags: Tags) -> tuple[re.Pattern[str], frozenset[str], int]:
    """A pattern of the tags, all that they can begin with, and the length of the longest."""
    texts = tuple(tags.roles())
    pattern = re.compile("(<(?:" + "|".join(re.escape(text[1:]) for text in texts) + "))")
    return pattern, frozenset(text[:end] for text in texts for end in range(1, len(text))), max(map(len, texts))


class Scanner:
    """Cuts text into tags and what stands between them."""

    def __init__(self, tags: Tags) -> None:
        self._pattern, self._beginnings, self._longest = _grammar(tags)
        self._held = ""

    def feed(self, text: str) -> list[str]:
        """The next pieces: text, tag, text, tag and so on; a text may be empty."""
        if self._held:
            text = self._held + text
            self._held = ""
        if "<" not in text:
            return [text]
        last = text.rfind("<", max(0, len(text) - self._longest))
        if last >= 0 and text[last:] in self._beginnings:
            self._held = text[last:]
            text = text[:last]
        return self._pattern.split(text)

    @property
    def holds(self) -> bool:
        """Whether the text so far may end inside a tag."""
        return bool(self._held)

    def rest(self) -> str:
        """What was held back, as the text is over or is continued by others."""
        held, self._held = self._held, ""
        return held
