"""The addresses of the real servers, for the tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sglang.addresses import address


@pytest.fixture
def url() -> str:
    """Of the single server."""
    return address("APR_SGLANG_URL")


@pytest.fixture
def worker_urls() -> list[str]:
    """Of the two servers behind the routers."""
    return address("APR_SGLANG_WORKER_URLS").split()


@pytest.fixture
def misset_url() -> str:
    """Of the server with wrong settings."""
    return address("APR_SGLANG_MISSET_URL")


@pytest.fixture
def manual_url() -> str:
    """Of the router that goes by the run's id."""
    return address("APR_SGLANG_ROUTER_URL")


@pytest.fixture
def cache_aware_url() -> str:
    """Of the router that goes by the text."""
    return address("APR_SGLANG_CACHE_AWARE_URL")


@pytest.fixture(params=["manual", "cache_aware"])
def router_url(request: pytest.FixtureRequest) -> str:
    """Of each router in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def processor() -> str:
    """The logit processor with which a server says a script."""
    return Path(address("APR_SGLANG_PROCESSOR")).read_text(encoding="utf-8")
