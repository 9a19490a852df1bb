"""Ready-made workflows: the files beside this one, and the same as Python functions, by name in `WORKFLOWS`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from apr_agents.dsl.decorators import Authored
from apr_agents.dsl.workflows.graphs import graph_of_thoughts, recursive
from apr_agents.dsl.workflows.outlined import parathinker, skeleton_of_thought
from apr_agents.dsl.workflows.samples import best_of_n, self_consistency
from apr_agents.dsl.workflows.single import adaptive, sequential
from apr_agents.dsl.workflows.trees import mcts, tree_of_thoughts_bfs, tree_of_thoughts_dfs

__all__ = [
    "WORKFLOWS", "adaptive", "best_of_n", "graph_of_thoughts", "mcts", "parathinker", "recursive", "self_consistency",
    "sequential", "skeleton_of_thought", "tree_of_thoughts_bfs", "tree_of_thoughts_dfs",
]  # fmt: skip

WORKFLOWS: Final[Mapping[str, Authored]] = MappingProxyType(
    {
        one.workflow.name: one
        for one in (
            adaptive,
            sequential,
            self_consistency,
            best_of_n,
            skeleton_of_thought,
            tree_of_thoughts_bfs,
            tree_of_thoughts_dfs,
            graph_of_thoughts,
            mcts,
            parathinker,
            recursive,
        )
    }
)
"""By name, from the simplest on."""
