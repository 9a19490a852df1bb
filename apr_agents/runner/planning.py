"""What a walk's text plans, seen while it comes: its blocks, their outlines, its fork, and where calls may start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from apr_agents.context import Context
from apr_agents.dialects.parser import Parser
from apr_agents.events import Event, Fork, Opened, Outline, Outlined
from apr_agents.glue import opening
from apr_agents.paths import BranchPath
from apr_agents.runner.calls import find_call
from apr_agents.runner.growing import Growing, Stretching, charged
from apr_agents.runner.recorder import Recorder
from apr_agents.runner.settings import Settings
from apr_agents.trace import Kind, Tokens


class Planning:
    """Reads the text of one walk. Its mutable state is what that has planned so far."""

    def __init__(self, settings: Settings, path: BranchPath, *, inside: bool) -> None:
        """`inside`: the walk is a branch of a block."""
        dialect = settings.dialect
        self.fork: Fork | None = None
        """What is to run next, until it is taken."""
        self.opened = 0
        """How many blocks the text has opened."""
        self.outlined: list[Outline] = []
        """The complete outlines of the last of them."""
        self.called = False
        """Whether an outline that calls is complete, and the stretch has not ended behind it."""
        self.stretches: Stretching | None = None
        """Told where calls may start in the request in flight, if they may start before their block is whole."""
        self._settings = settings
        self._parser: Parser | None = None
        if settings.mode == "adaptive" and dialect.reads:
            around = path.depth if inside or dialect.nests else 0
            self._parser = Parser(dialect, settings.limits, inside_branch=inside, depth=around)
        nests = not inside or dialect.nests
        self.may_fork = self._parser is not None and nests and path.depth < settings.budget.depth
        self.eager = self.may_fork and settings.eager and bool(settings.functions and dialect.tags.outline_open)
        """Whether calls may start before their block is whole."""

    def feed(self, text: str) -> Sequence[Event]:
        """What the next piece of the text completes; what it plans is taken down."""
        return self._see(self._parser.feed(text)) if self._parser is not None else ()

    def close(self) -> Sequence[Event]:
        """The text is over: what it left unclosed."""
        return self._see(self._parser.close()) if self._parser is not None else ()

    def give(self, outlines: Sequence[Outline]) -> None:
        """The caller opens a block with these outlines behind the text."""
        if self._parser is not None:
            # What the outlines say is plain text: the parser sees the same block without it.
            bare = [replace(outline, text="given") for outline in outlines]
            self._parser.feed("".join(text for text, _ in opening(bare, self._settings.dialect)))

    def take(self) -> Fork | None:
        """The fork that the text has planned, if it has not been taken."""
        fork, self.fork = self.fork, None
        return fork

    def joined(self) -> None:
        """The branches of the latest fork are behind the text."""
        if self._parser is not None:
            self._parser.joined()

    def cut(self, prompt: Context, text: Growing, recorder: Recorder) -> None:
        """End the stretch of a request behind whose outlines calls may start, and with it the span of that stretch."""
        if self.stretches is None or self._parser is None or self._parser.inside_tag:
            return
        self.called = False
        ended = recorder.close("done", *text.share(charged(prompt, text, text.reusable), None))
        if ended is not None:
            text.parts.append(ended)
        self.stretches.cut(text.stretch())
        recorder.open(Kind.decode)

    def settle(self, text: Growing, tokens: Tokens, recorder: Recorder) -> None:
        """The request in flight has ended, and took these tokens: its first span is amended where it has stretches."""
        if self.stretches is None:
            return
        head = text.head(tokens)
        if head is not None:
            recorder.amend(head)
        self.stretches.end(text.stretch(), head)

    def _see(self, events: Sequence[Event]) -> Sequence[Event]:
        for event in events:
            if isinstance(event, Opened):
                self.opened += 1
                self.outlined.clear()
                self.called = False
            elif isinstance(event, Outlined):
                self.outlined.append(event.outline)
                self.called |= find_call(event.outline.text, self._settings.functions) is not None
            elif isinstance(event, Fork) and self.may_fork:
                self.fork = event
                self.called = False
        return events
