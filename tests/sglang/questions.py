"""Problems for the shipped model."""

from __future__ import annotations

FOUR_NUMBERS = (
    "Numbers: 26 45 27 21 Target: 18",
    "Numbers: 12 7 3 40 Target: 31",
    "Numbers: 50 8 2 9 Target: 42",
    "Numbers: 6 11 30 5 Target: 24",
)
"""For which it forks."""
THREE_NUMBERS = ("Numbers: 3 5 7 Target: 22", "Numbers: 25 5 9 Target: 45")
"""For which it does not."""
