"""How many threads a model gets when nobody says."""

from __future__ import annotations

import pytest

from apr_agents.engines.llamacpp.server import threads_for

MEGABYTE = 2**20


@pytest.mark.parametrize(
    ("weights", "cores", "threads"),
    [
        (0, 8, 1),
        (MEGABYTE, 8, 1),
        (31 * MEGABYTE, 8, 1),
        (32 * MEGABYTE, 8, 2),
        (4096 * MEGABYTE, 8, 8),
        (128 * MEGABYTE, 1, 1),
    ],
)
def test_threads_grow_with_the_model_up_to_the_cores(weights: int, cores: int, threads: int) -> None:
    assert threads_for(weights, cores) == threads
