"""Each file in tests/data/invalid gets exactly the refusal that its first lines say, soon and for little memory.

In these lines `{functions}` stands for the names of the language's own functions.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from apr_agents.dsl.builtins import BUILTINS
from apr_agents.dsl.guard import MAX_BYTES, MAX_NODES
from apr_agents.dsl.yaml import load_workflow
from apr_agents.errors import WorkflowError

FOLDER = Path(__file__).parent.parent / "data" / "invalid"
FILES = sorted(FOLDER.glob("*.yaml"))
MARK = b"# expect "


def marked(file: Path) -> list[bytes]:
    functions = ", ".join(BUILTINS).encode()
    lines = [line.removeprefix(MARK) for line in file.read_bytes().splitlines() if line.startswith(MARK)]
    return [line.replace(b"{functions}", functions) for line in lines]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_refused_as_its_first_lines_say(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    expected = [line.decode() for line in marked(file)]
    assert expected
    with pytest.raises(WorkflowError) as caught:
        load_workflow(Path(file.name), functions={})
    assert list(caught.value.problems) == [file.name + line for line in expected]


def test_each_problem_is_one_printable_line_with_its_place() -> None:
    for file in FILES:
        with pytest.raises(WorkflowError) as caught:
            load_workflow(file, functions={})
        for problem in caught.value.problems:
            assert problem.isprintable()
            assert problem.startswith(f"{file}:")
            assert " $" in problem
            assert "; " in problem
            assert len(problem) < 800


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_file_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="expected a workflow file"):
        load_workflow(tmp_path / name)


WITHOUT_LIBYAML = """
import sys
sys.modules["yaml._yaml"] = None
import pathlib, yaml
from apr_agents.dsl.yaml import load_workflow
from apr_agents.errors import WorkflowError
assert not hasattr(yaml, "CSafeLoader")
for file in map(pathlib.Path, sys.argv[1:]):
    try:
        load_workflow(file, functions={})
    except WorkflowError as error:
        print(*error.problems, sep="\\n")
"""


def test_the_same_lines_are_refused_without_libyaml() -> None:
    command = [sys.executable, "-c", WITHOUT_LIBYAML, *(file.name for file in FILES)]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=True)
    found = [line.split(" ")[0].split(":")[:2] for line in done.stdout.splitlines()]
    expected = [[file.name, line.split(b":")[1].split(b" ")[0].decode()] for file in FILES for line in marked(file)]
    assert found == expected


def test_an_endless_file_is_read_no_further_than_its_bound() -> None:
    with pytest.raises(WorkflowError, match="larger than 262144 bytes"):
        load_workflow(Path("/dev/zero"))


GOOD = "name: a\nsteps: [{reason: hello}]\n"
ENCODED = {
    "UTF-16 with its mark": (GOOD.encode("utf-16"), "1:1 $: byte 0xff is not UTF-8"),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), "1:2 $: the character U+0000"),
    "UTF-32": (GOOD.encode("utf-32-be"), "1:1 $: the character U+0000"),
    "UTF-8 with a mark": (GOOD.encode("utf-8-sig"), "1:1 $: a byte order mark"),
    "Latin-1": (GOOD.replace("hello", "olé").encode("latin-1"), "2:20 $: byte 0xe9 is not UTF-8"),
    "Shift JIS": (GOOD.replace("hello", "日本").encode("shift-jis"), "2:18 $: byte 0x93 is not UTF-8"),
    "UTF-7": (GOOD.replace("hello", "日本").encode("utf-7"), None),
    "an overlong form": (GOOD.encode().replace(b"hello", b"\xc0\xaf"), "2:18 $: byte 0xc0 is not UTF-8"),
    "a lone surrogate": (GOOD.encode().replace(b"hello", b"\xed\xa0\x80"), "2:18 $: byte 0xed is not UTF-8"),
    "cut within a character": (GOOD.encode() + b"# \xe2\x82", "3:3 $: byte 0xe2 is not UTF-8"),
    "compressed": (gzip.compress(GOOD.encode(), mtime=0), "1:2 $: byte 0x8b is not UTF-8"),
    "a program": (b"\x7fELF\x02\x01\x01\x00", "1:1 $: the character U+007F"),
    "too large": (b"#" * MAX_BYTES + b"\n", "1:1 $: larger than 262144 bytes"),
    "too many values": (b"- 1\n" * MAX_NODES, f"{MAX_NODES}:3 $[{MAX_NODES - 1}]: more than 10000 values"),
    "a hundred thousand brackets": (b"[" * 100_000, "1:33 " + "$" + "[0]" * 32 + ": deeper than 32 levels"),
}
"""The bytes of whole files, and how their refusal begins; None: it is plain text, and a workflow."""


@pytest.mark.parametrize(("raw", "told"), ENCODED.values(), ids=ENCODED)
def test_a_file_of_other_bytes(raw: bytes, told: str | None, tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(raw)
    if told is None:
        assert load_workflow(file).steps
        return
    with pytest.raises(WorkflowError) as caught:
        load_workflow(file)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{file}:{told}; expected ")


MEASURED = """
import json, pathlib, resource, sys, time
from apr_agents.dsl.yaml import load_workflow
from apr_agents.errors import WorkflowError
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
seconds = {}
for file in map(pathlib.Path, sys.argv[1:]):
    began = time.process_time()
    try:
        load_workflow(file, functions={})
    except WorkflowError:
        seconds[file.name] = time.process_time() - began
status = pathlib.Path("/proc/self/status")
if status.exists():  # the system's other count has what the process was before this program began
    peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"seconds": seconds, "kilobytes": peak}))
"""


def test_each_is_refused_soon_and_for_little_memory(tmp_path: Path) -> None:
    """The bounds are 100 ms and 64 MB, the interpreter with all that it imports included; the time has a factor of 20
    for slow machines and counts the processor's seconds only."""
    made = [tmp_path / f"{number}.yaml" for number in range(len(ENCODED))]
    for file, (raw, _) in zip(made, ENCODED.values(), strict=True):
        file.write_bytes(raw)
    command = [sys.executable, "-c", MEASURED, *(str(file) for file in (*FILES, *made))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert len(said["seconds"]) == len(FILES) + sum(told is not None for _, told in ENCODED.values())
    assert max(said["seconds"].values()) < 20 * 0.1
    assert said["kilobytes"] < 64 * 1024


def test_there_are_so_many_of_them() -> None:
    """Of every part of the language, and of each two by two different ones."""
    assert len(FILES) >= 200
    kinds = ("fork", "join", "map", "call", "score", "select", "when", "repeat", "reference", "tag", "key", "budget")
    assert [kind for kind in kinds if sum(file.stem.startswith(kind) for file in FILES) < 2] == []
