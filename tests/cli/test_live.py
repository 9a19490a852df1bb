"""What a watcher of a run is shown of it."""

from __future__ import annotations

import io

from rich.console import Console

from apr_agents.cli.live import LiveTree, line_of
from apr_agents.runner.progress import Generated, Noted


def test_a_retry_is_said_with_its_branch() -> None:
    note = Noted("1.2", "a request is sent again in 2 s: busy")
    assert line_of(note) == "branch 1.2 a request is sent again in 2 s: busy"
    tree, file = LiveTree(), io.StringIO()
    for progress in (Generated("", "so", 1), note):
        tree.show(progress)
    Console(file=file, width=100).print(tree.render())
    assert file.getvalue().rstrip().endswith("branch 1.2 a request is sent again in 2 s: busy")
