"""What one call of the model asks for: settings of a run from the model's fields and the call's own arguments. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from apr_agents.dialects import Dialect, load_dialect
from apr_agents.engines.base import EngineInfo
from apr_agents.errors import UsageError
from apr_agents.runner import Budget, Function, JoinRule, Settings


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted otherwise than the settings say; None: as they say."""

    temperature: float | None = None
    max_tokens: int | None = None
    """Generated tokens of the whole run."""
    timeout: float | None = None
    """Seconds of the whole run."""
    seed: int | None = None
    max_retries: int | None = None
    """0: no request is sent again; any other number: as the budget says."""
    tools: tuple[Function, ...] = ()
    """What outlines may call, beside the settings' own functions."""

    def of_call(self, given: Mapping[str, Any]) -> Wishes:
        """These, and over them what one call gives by name. Raises UsageError for a name that there is not."""
        known = [field.name for field in fields(self)]
        unknown = [name for name in given if name not in known]
        if unknown:
            raise UsageError(f"{unknown[0]}={given[unknown[0]]!r:.60}: a call takes stop, {', '.join(known)}")
        return replace(self, **{**given, "tools": (*self.tools, *given.get("tools", ()))})

    def over(self, settings: Settings) -> Settings:
        """These settings with what is wanted otherwise. Raises UsageError for a number that cannot be meant."""
        budget, sampling = settings.budget, settings.sampling
        bounds: dict[str, Any] = {"tokens": self.max_tokens, "seconds": self.timeout}
        bounds["retries"] = 0 if self.max_retries == 0 else None
        return replace(
            settings,
            budget=replace(budget, **{name: bound for name, bound in bounds.items() if bound is not None}),
            sampling=sampling if self.temperature is None else replace(sampling, temperature=self.temperature),
            seed=settings.seed if self.seed is None else self.seed,
            functions={**settings.functions, **{function.name: function for function in self.tools}},
        )


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model's runs go, as far as that can be said before its engine is open."""

    settings: Settings | None
    dialect: str | Dialect | None
    """None: the engine's own."""
    join: JoinRule | None
    budget: Budget | None

    def on(self, info: EngineInfo) -> Settings:
        """The settings on this engine. Raises DialectError."""
        if self.settings is not None:
            return self.settings
        dialect = self.dialect or next(iter(info.dialects), "threadweaver")
        return Settings(
            load_dialect(dialect) if isinstance(dialect, str) else dialect,
            join=self.join or JoinRule(),
            budget=self.budget or Budget(),
        )
