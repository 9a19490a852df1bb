"""The binding loads the pinned build, refuses any other, and says how to mend what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from apr_agents.engines.llamacpp import bindings
from apr_agents.engines.llamacpp.model import Model, looks_like_tag
from apr_agents.errors import EngineUnavailable
from tests.support.random_gguf import RandomModel, write


def test_the_installed_build_has_the_defaults_that_its_layout_promises() -> None:
    api = bindings.load().api
    bindings.check_defaults("llama_context_params", api.llama_context_default_params(), bindings.CONTEXT_DEFAULTS)
    bindings.check_defaults("llama_model_params", api.llama_model_default_params(), bindings.MODEL_DEFAULTS)


@pytest.mark.parametrize("field", bindings.CONTEXT_DEFAULTS)
def test_a_build_with_another_default_is_refused(field: str) -> None:
    params = bindings.load().api.llama_context_default_params()
    default = bindings.CONTEXT_DEFAULTS[field]
    setattr(params, field, not default if isinstance(default, bool) else 7)
    with pytest.raises(EngineUnavailable, match=rf"llama_context_params\.{field} is .*pip install xllamacpp=="):
        bindings.check_defaults("llama_context_params", params, bindings.CONTEXT_DEFAULTS)


def test_the_pinned_version_is_the_one_that_the_package_depends_on() -> None:
    project = Path(__file__).parents[3] / "pyproject.toml"
    assert f"{bindings.WHEEL}=={bindings.VERSION}" in project.read_text()
    assert metadata.version(bindings.WHEEL) == bindings.VERSION


def test_a_missing_system_library_is_named_with_its_mend() -> None:
    reason = "libgomp.so.1: cannot open shared object file: No such file or directory"
    assert "apt-get install libgomp1" in bindings.load_message(reason)
    assert "\n" not in bindings.load_message("two\nlines")


def test_importing_the_engine_loads_no_library() -> None:
    code = """
import sys
import apr_agents, apr_agents.engines.llamacpp
assert not [name for name in sys.modules if name.split(".")[0] == "xllamacpp"]
with open("/proc/self/maps") as maps:
    assert "xllamacpp" not in maps.read()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_loading_leaves_the_environment_as_it_was_and_llama_cpp_silent(small: Path) -> None:
    code = f"""
import os
from pathlib import Path
from apr_agents.engines.llamacpp import bindings
from apr_agents.engines.llamacpp.model import Model
before = dict(os.environ)
Model(bindings.load(), Path({str(small)!r})).close()
assert dict(os.environ) == before
"""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file"),
        (b"PK\x03\x04", "is not a GGUF file"),
        (b"", "is not a GGUF file"),
        (b"GGUF\xff\xff\xff\xff", "llama.cpp cannot load"),
    ],
)
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineUnavailable, match=says) as caught:
        Model(bindings.load(), path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_llama_cpp_gives_its_own_reason_for_a_file_that_was_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.gguf")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(EngineUnavailable, match=r"not within the file bounds|corrupted|incomplete"):
        Model(bindings.load(), path)


def test_metadata(tmp_path: Path) -> None:
    path = write(tmp_path / "named.gguf", RandomModel(metadata={"apr.dialect": "threadweaver"}))
    model = Model(bindings.load(), path)
    assert (model.name, model.meta("apr.dialect"), model.meta("no.such.key")) == ("random", "threadweaver", None)
    assert (model.bos, model.eos, model.ends, model.window) == (1, 2, {2}, 1024)
    model.close()


@pytest.mark.parametrize("text", ["<Thread>", "</s>", "<|im_end|>", "[INST]", " <think>", "{tool}"])
def test_what_looks_like_a_tag(text: str) -> None:
    assert looks_like_tag(text)


@pytest.mark.parametrize("text", ["the", "<", "<>", "\n\n", "a>", "<a", "", "()"])
def test_what_does_not(text: str) -> None:
    assert not looks_like_tag(text)
