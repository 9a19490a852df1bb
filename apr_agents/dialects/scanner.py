"""Finds a dialect's tags in text that comes in pieces; what a tag means is the parser's matter.

Every tag begins with `<` and holds no other, so a tag that may be unfinished begins at the last `<`: nothing but that
suffix is ever held back, and no character is looked at more often than the longest tag is long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from apr_agents.dialects.dialect import Tags


class Scanner:
    """Cuts text into tags and what stands between them."""

    def __init__(self, tags: Tags) -> None:
        texts = tuple(tags.roles())
        self._pattern = re.compile("<(?:" + "|".join(re.escape(text[1:]) for text in texts) + ")")
        self._beginnings = frozenset(text[:end] for text in texts for end in range(1, len(text)))
        self._longest = max(map(len, texts))
        self._held = ""

    def feed(self, text: str) -> Iterator[tuple[bool, str]]:
        """The next pieces, each with whether it is a tag; none is empty."""
        if self._held:
            text = self._held + text
            self._held = ""
        last = text.rfind("<", max(0, len(text) - self._longest))
        if last >= 0:
            if text[last:] in self._beginnings:
                self._held = text[last:]
                text = text[:last]
        elif "<" not in text:
            return iter(((False, text),) if text else ())
        return self._pieces(text)

    def rest(self) -> str:
        """What was held back, as the text is over or is continued by others."""
        held, self._held = self._held, ""
        return held

    def _pieces(self, text: str) -> Iterator[tuple[bool, str]]:
        at = 0
        for found in self._pattern.finditer(text):
            if found.start() > at:
                yield False, text[at : found.start()]
            yield True, found[0]
            at = found.end()
        if at < len(text):
            yield False, text[at:] if at else text
