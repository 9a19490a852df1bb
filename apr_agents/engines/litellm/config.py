"""A LiteLLM Router's configuration, as its proxy reads it: a YAML file with `model_list` and settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from apr_agents.errors import UsageError

MAX_BYTES = 1024 * 1024
AFFINE = frozenset(("session_affinity", "deployment_affinity"))
"""Checks of a Router's that keep a run's requests on one deployment."""
_SHARED = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "num_retries", "allowed_fails")
"""Settings that the proxy also takes from `litellm_settings` for its Router."""


def read_config(file: Path) -> dict[str, Any]:
    """The arguments of litellm.Router that this file holds. Raises UsageError that names the file and the place."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise UsageError(f"{file}: more than {MAX_BYTES} bytes; this is no Router configuration")
        data: object = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}; name a file with a LiteLLM model_list") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: not YAML: {' '.join(str(error).split())[:200]}") from error
    return router_arguments(data, str(file))


def router_arguments(data: object, place: str) -> dict[str, Any]:
    """The arguments of litellm.Router in a configuration. Raises UsageError for one without deployments."""
    config = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    models = config.get("model_list")
    if not isinstance(models, list) or not models:
        raise UsageError(f"{place}: there is no model_list; see https://docs.litellm.ai/docs/routing")
    for number, model in enumerate(cast("list[Any]", models)):
        _check_model(model, f"{place} model_list.{number}")
    shared = _mapping(config, "litellm_settings", place)
    settings = {
        **{name: shared[name] for name in _SHARED if name in shared},
        **_mapping(config, "router_settings", place),
    }
    return {"model_list": models, **affine(settings)}


def affine(settings: Mapping[str, Any]) -> dict[str, Any]:
    """These settings, by which a run stays on its deployment: where the user chose no affinity, by session."""
    checks = list(settings.get("optional_pre_call_checks") or ())
    if AFFINE & set(checks) or settings.get("model_group_affinity_config"):
        return dict(settings)
    return {**settings, "optional_pre_call_checks": [*checks, "session_affinity"]}


def _mapping(config: Mapping[str, Any], key: str, place: str) -> dict[str, Any]:
    value: object = config.get(key) or {}
    if not isinstance(value, dict):
        raise UsageError(f"{place} {key}: names and values are needed")
    return cast("dict[str, Any]", value)


def _check_model(model: object, place: str) -> None:
    fields = cast("dict[str, Any]", model) if isinstance(model, dict) else {}
    params = fields.get("litellm_params")
    if not fields.get("model_name") or not isinstance(params, dict) or not cast("dict[str, Any]", params).get("model"):
        raise UsageError(f"{place}: model_name and litellm_params.model are needed")
