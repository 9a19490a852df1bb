"""A million seeded ways to cut texts in pieces, each against the text fed whole."""

from __future__ import annotations

import random

import pytest

from apr_agents.dialects.limits import DEFAULTS
from tests.dialects.reading import SMALL, check, cut, dialects, random_text, read

SHARDS = 20
SPLITS = 1_000_000 // SHARDS
PER_TEXT = 50


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_split_gives_the_events_of_the_whole(shard: int) -> None:
    seeded = random.Random(shard)
    loaded = dialects()
    for _ in range(SPLITS // PER_TEXT):
        dialect = loaded[seeded.randrange(len(loaded))]
        text = random_text(seeded, dialect, seeded.randrange(1, 14))
        limits = SMALL if seeded.random() < 0.3 else DEFAULTS
        inside_branch = seeded.random() < 0.3
        whole = read(dialect, [text], limits, inside_branch=inside_branch)
        check(whole, text, inside_branch=inside_branch)
        for _ in range(PER_TEXT):
            places = sorted(seeded.randrange(len(text) + 1) for _ in range(seeded.choice((1, 1, 1, 2, 3))))
            again = read(dialect, cut(text, places), limits, inside_branch=inside_branch)
            assert again == whole, (dialect.name, text, places)
