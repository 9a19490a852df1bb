"""Random models on the spot, and what asks an engine for text."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.random_gguf import RandomModel, write


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for model files."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def small(models: Path) -> Path:
    """A model whose tags are control tokens."""
    return write(models / "small.gguf")


@pytest.fixture(scope="session")
def tagged(models: Path) -> Path:
    """A model whose tags are added tokens, which llama.cpp matches in plain text."""
    return write(models / "tagged.gguf", RandomModel(tags="user_defined"))


@pytest.fixture(scope="session")
def pieces(models: Path) -> Path:
    """A model with SentencePiece's kind of vocabulary."""
    return write(models / "pieces.gguf", RandomModel(tokenizer="spm"))


@pytest.fixture(scope="session")
def recurrent(models: Path) -> Path:
    """A model whose sequences cannot be rewound."""
    return write(models / "recurrent.gguf", RandomModel(architecture="mamba"))
