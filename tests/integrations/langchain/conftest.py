"""The clock of the agents here."""

from __future__ import annotations

import pytest

from apr_agents.clock import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()
