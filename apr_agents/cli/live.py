"""How a run is watched: a tree that redraws itself on a terminal, plain lines elsewhere, both on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from apr_agents.dsl.places import show
from apr_agents.paths import BranchPath
from apr_agents.runner.progress import Began, Ended, Forked, Generated, Noted, Progress, Synthesis

Show = Callable[[Progress], None]

_ROWS = 40
"""Branches that are shown at the same time."""

_SIGNS = {"done": "✓", "truncated": "…", "failed": "✗", "cancelled": "–", "refused": "⊘"}


@contextmanager
def watcher(*, watched: bool) -> Generator[Show]:
    """A function that shows one progress value; nothing is shown unless `watched`."""
    console = Console(stderr=True, highlight=False)
    if not watched:
        yield _ignore
    elif console.is_terminal:
        tree = LiveTree()
        with Live(console=console, get_renderable=tree.render, refresh_per_second=12, transient=True):
            yield tree.show
    else:
        yield Lines(console).show


def _ignore(progress: Progress) -> None:
    del progress


class Lines:
    """One line for the first token, each fork, ended branch and join."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._start = time.monotonic()
        self._quiet = True

    def show(self, progress: Progress) -> None:
        line = line_of(progress)
        if self._quiet and isinstance(progress, Generated):
            self._quiet, line = False, "the first token"
        if line:
            self._console.print(f"{time.monotonic() - self._start:7.2f}s  {line}", soft_wrap=True, markup=False)


def line_of(progress: Progress) -> str | None:
    """What a line says of this progress; None for what is too small for one."""
    match progress:
        case Forked(path, block, outlines):
            return f"{_where(path)}fork {block}: {len(outlines)} branches"
        case Ended(branch, tokens, seconds):
            detail = f": {branch.detail}" if branch.detail else ""
            return f"branch {branch.path} {branch.outcome}, {tokens} tokens in {seconds:.2f} s{detail}"
        case Synthesis(path, block, joined):
            return f"{_where(path)}join {block}: {len(joined)} branches, the synthesis goes on"
        case Noted(path, note):
            return f"{_where(path)}{note}"
        case Began(path, place, kind):
            return f"{_where(path)}{show(place)[2:]}: {kind}"
        case Generated():
            return None


def _where(path: str) -> str:
    return f"branch {path} " if path else ""


class LiveTree:
    """The run's text and its branches as they grow; its mutable state is what was shown so far."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now` counts seconds."""
        self._now = now
        self._start = now()
        self._tokens = 0
        self._tails: dict[str, str] = {"": ""}
        self._steps: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._outlines: dict[str, str] = {}
        self._forked: dict[str, float] = {}
        self._ended: dict[str, Ended] = {}
        self._note = ""

    def show(self, progress: Progress) -> None:
        match progress:
            case Forked(path, block, outlines):
                for position, outline in enumerate(outlines, 1):
                    name = str(BranchPath.parse(path).child(block, position))
                    self._outlines[name] = outline.text
                    self._counts[name] = 0
                    self._forked[name] = self._now()
            case Generated(path, text, tokens):
                self._tails[path] = (self._tails.get(path, "") + text)[-200:]
                self._counts[path] = self._counts.get(path, 0) + tokens
                self._tokens += tokens
            case Ended(branch):
                self._ended[branch.path] = progress
            case Noted(path, note):
                self._note = f"{_where(path)}{note}"
            case Began(path, place, kind):
                self._steps[path] = f"{show(place)[2:]} {kind}"
                self._tails[path] = ""
            case Synthesis():
                pass

    def render(self) -> RenderableType:
        head = Text(f"{self._now() - self._start:6.1f} s  {self._tokens} tokens  ", style="bold")
        head.append(self._steps.get("", ""))
        rows = map(self._row, self._shown())
        return Group(head, _tail(self._tails[""], 100), *rows, *([_tail(self._note, 100)] if self._note else []))

    def _shown(self) -> list[str]:
        """The branches for which there is room, as a tree: those that run, and the latest of the others."""
        running = [path for path in self._outlines if path not in self._ended]
        ended = [path for path in self._outlines if path in self._ended]
        room = max(0, _ROWS - len(running))
        return sorted([*ended[len(ended) - min(room, len(ended)) :], *running[:_ROWS]], key=BranchPath.parse)

    def _row(self, path: str) -> Text:
        ended = self._ended.get(path)
        sign = _SIGNS[ended.branch.outcome] if ended else "▸"
        style = "dim" if ended else ""
        seconds = ended.seconds if ended else self._now() - self._forked[path]
        indent = "  " * path.count("/")
        name = f"{indent}{sign} {path}"
        row = Text(f"  {name:<14} {self._counts.get(path, 0):>6} {seconds:>7.1f} s  ", style=style, no_wrap=True)
        row.append(f"{' '.join(self._outlines[path].split())[:40]:<42}", style=style)
        if ended:
            return row.append(f"{ended.branch.outcome}" if ended.branch.outcome != "done" else "", style=style)
        return row.append_text(_tail(self._tails.get(path, "") or self._steps.get(path, ""), 40))


def _tail(text: str, width: int) -> Text:
    return Text(" ".join(text.split())[-width:], style="dim italic", no_wrap=True)
