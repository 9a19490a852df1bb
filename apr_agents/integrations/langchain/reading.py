"""The text of a run while it grows, from its progress alone: what a reader may have, and where a stop ends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from apr_agents.dialects import Dialect
from apr_agents.runner import Outcome


class Reading:
    """Everything behind a run's prompt so far, as joined. Its mutable state is that text and where it stops."""

    def __init__(self, dialect: Dialect, stops: Sequence[str], *, forks: bool) -> None:
        """`stops` end the run's own text where they first appear in it, outside of blocks; `forks`: whether the text
        of a block can be one."""
        self._dialect = dialect
        self._stops = tuple(stop for stop in stops if stop)
        self._opening = dialect.tags.block_open if forks else None
        self._hold = max(map(len, self._stops), default=1) - 1
        self._texts: list[str] = []
        self._length = 0
        self._pending = ""
        self._taken = 0
        self._tail = ""
        self._in_block = False
        self.stop: int | None = None
        """The offset of the stop that the text has come to."""

    @property
    def text(self) -> str:
        """As far as the stop, if it has come to one."""
        return "".join(self._texts)[: self.stop]

    def take(self) -> str:
        """What has come since it was last taken, but for what a stop could still take back."""
        end = self._length - self._hold if self.stop is None else self.stop
        count = max(0, end - self._taken)
        piece, self._pending = self._pending[:count], self._pending[count:]
        self._taken += count
        return piece

    def generated(self, text: str) -> None:
        """The run itself has generated this."""
        self._add(text)
        seen = self._tail + text
        start = self._length - len(seen)
        hits = [seen.find(stop) for stop in self._stops if stop in seen]
        opened = seen.find(self._opening) if self._opening else -1
        if not self._in_block and hits and not 0 <= opened < min(hits):
            self.stop = start + min(hits)
        self._in_block = self._in_block or opened >= 0
        keep = max(self._hold, len(self._opening or "") - 1)
        self._tail = seen[-keep:] if keep else ""

    def joined(self, outcomes: Sequence[Outcome]) -> None:
        """The run's block has joined these branches, in this order; it goes on behind them."""
        self._add(joined_text(outcomes, self._dialect))
        self._in_block, self._tail = False, ""

    def _add(self, text: str) -> None:
        self._texts.append(text)
        self._pending += text
        self._length += len(text)


def joined_text(outcomes: Sequence[Outcome], dialect: Dialect) -> str:
    """What a join writes behind a block's outlines: these branches in this order, and the tail of the block."""
    headers = [dialect.branch_header, *[dialect.join_header] * (len(outcomes) - 1)][: len(outcomes)]
    branches = zip(headers, outcomes, strict=True)
    texts = (header.replace("{n}", outcome.branch.number) + outcome.text for header, outcome in branches)
    return "".join(texts) + dialect.join_tail


def in_order(paths: Sequence[str], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes with these paths, in their order."""
    known: Mapping[str, Outcome] = {outcome.branch.path: outcome for outcome in outcomes}
    return [known[path] for path in paths]
