"""Where steps run: the run itself, or one branch of it."""

from __future__ import annotations

from collections.abc import Mapping

from apr_agents.context import Context, ids_of
from apr_agents.dsl.checked import Checked
from apr_agents.dsl.places import Path, show
from apr_agents.dsl.program import Program
from apr_agents.dsl.values import Value
from apr_agents.paths import BranchPath
from apr_agents.runner.outcome import Outcome
from apr_agents.runner.recorder import Recorder
from apr_agents.runner.shared import End, Shared
from apr_agents.runner.walk import Walk


class Stopped(Exception):
    """A step cannot go on, and with it the run or branch; caught at the end of either, which makes an outcome of it."""

    def __init__(self, end: End, plain: End | None = None) -> None:
        super().__init__(end.detail)
        self.end = end
        self.plain = plain or end
        """The same without the place of the step."""

    def at(self, path: Path) -> Stopped:
        """The same, with the place of the step."""
        return Stopped(End(self.end.reason, f"{show(path)[2:]}: {self.end.detail}"), self.plain)


class Frame:
    """One sequence of steps and how far it has come.

    Its mutable state is the values by name, the counters of its blocks and requests, what its allowance has left, the
    outcomes of its branches, its texts, and what the last check said; so that what is cancelled has all that it had.
    """

    def __init__(
        self,
        program: Program,
        shared: Shared,
        path: BranchPath,
        recorder: Recorder,
        values: Mapping[str, Value],
        allowance: int,
        deadline: float,
    ) -> None:
        self.program = program
        self.shared = shared
        self.path = path
        self.recorder = recorder
        self.values = dict(values)
        self.allowance = allowance
        self.deadline = deadline
        self.blocks = 0
        self.requests = 0
        self.outcomes: list[Outcome] = []
        self.partial: Value = None
        """What a step has that cannot go on."""
        self.verdict: tuple[str, Checked] | None = None
        self.before: list[str] = []
        """Texts from before the run was resumed."""
        self._walks: list[tuple[Context, Walk]] = []

    def begin(self, prompt: Context, walk: Walk) -> None:
        """A text begins behind this prompt."""
        walk.blocks, walk.requests = self.blocks, self.requests
        self._walks.append((prompt, walk))

    def end(self, walk: Walk) -> None:
        """A text has ended. Awaits nothing: it runs when cancelled."""
        self.blocks, self.requests = walk.blocks, walk.requests
        self.allowance, self.deadline = walk.allowance, walk.deadline
        self.outcomes += walk.outcomes

    @property
    def texts(self) -> list[str]:
        """What was written so far, behind each prompt."""
        here = ["".join(segment.text for segment in walk.context.since(prompt)) for prompt, walk in self._walks]
        return self.before + here

    @property
    def response(self) -> tuple[int, ...] | None:
        """The ids of the only text; None where there are several, or where they are not known."""
        if self.before or len(self._walks) != 1 or self._walks[0][1].context.segment.ids is None:
            return None
        prompt, walk = self._walks[0]
        return ids_of(walk.context.since(prompt))
