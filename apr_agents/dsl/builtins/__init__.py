"""The functions that every workflow may call by name. Pure: a JSON value comes in, a JSON value goes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from apr_agents.dsl.builtins import choosing, countdown, depth_first, lists, mcts
from apr_agents.runner.calls import Function

_NAMED: Final[Mapping[str, Callable[..., Any]]] = {
    "best": choosing.best,
    "first": choosing.first,
    "majority": choosing.majority,
    "flatten": lists.flatten,
    "parts": lists.parts,
    "pluck": lists.pluck,
    "rotate": lists.rotate,
    "dfs.begin": depth_first.begin,
    "dfs.deepen": depth_first.deepen,
    "dfs.turn_back": depth_first.turn_back,
    "mcts.plant": mcts.plant,
    "mcts.pick": mcts.pick,
    "mcts.back_up": mcts.back_up,
    "mcts.grow": mcts.grow,
    "countdown.start": countdown.start,
    "countdown.moves": countdown.moves,
    "countdown.play": countdown.play,
    "countdown.promise": countdown.promise,
    "countdown.whole": countdown.whole,
    "countdown.grade": countdown.grade,
    "countdown.judge": countdown.judge,
}

BUILTINS: Final[Mapping[str, Function]] = MappingProxyType(
    {name: Function(name, call, (call.__doc__ or "").partition("\n")[0]) for name, call in _NAMED.items()}
)
"""By name. A program's own functions stand beside them, and before them where a name is the same."""
