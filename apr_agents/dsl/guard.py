"""YAML text to plain data with the place of each value, refusing whatever a file of plain data does not need.

Refused while the text is read, so that no file costs more than the bounds below: anchors, aliases, merge keys, tags,
directives, duplicate keys, keys that are not text, a second document, unprintable characters, depth, size. A plain
scalar is null, true, false or a number only as JSON writes these; anything else is the text as it stands, so `no`,
`010` and `1:30` mean themselves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from apr_agents.dsl.inputs import MAX_DIGITS
from apr_agents.dsl.places import Path, Place, show
from apr_agents.errors import WorkflowError

MAX_BYTES = 262_144
MAX_DEPTH = 32
MAX_NODES = 10_000

# libyaml reads the largest file in 20 ms, the Python reader in 400
_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_EXPECTED = "expected YAML: indent by spaces, and put text that has `: ` or ` #` in it in quotes"
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says."""

    data: object
    """Made of dict, list, str, int, float, bool and None."""
    places: Mapping[Path, Place]
    """Where each value stands; that of a key's value is the key's."""


def read(text: str, file: str) -> Document:
    """The document in this text. Raises WorkflowError with `file:line:column $.path: what, and what was expected`."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _refused(file, Place(), (), f"larger than {MAX_BYTES} bytes; expected a smaller file")
    if found := _UNPRINTABLE.search(text):
        raise _refused(file, place_of(text, found.start()), (), _unprintable(found[0]))
    return _Reader(text, file).document()


def decode(raw: bytes, file: str) -> str:
    """These bytes as text. Raises WorkflowError unless they are UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        what = f"byte 0x{raw[error.start]:02x} is not UTF-8; expected a file saved as UTF-8"
        raise _refused(file, place_of(before, len(before)), (), what) from error


def place_of(text: str, offset: int) -> Place:
    """The place of a character."""
    return Place(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


class _Reader:
    """Reads one document by descent over its events.

    Its state is the events that are left, the nodes counted so far, and where each value stands.
    """

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._events = yaml.parse(text, Loader=_LOADER)
        self._nodes = 0
        self._places: dict[Path, Place] = {}

    def document(self) -> Document:
        """The only document of the text."""
        self._next(())  # the stream's start
        start = self._next(())
        if not isinstance(start, yaml.DocumentStartEvent):
            raise _refused(self._file, Place(), (), "the file is empty; expected a mapping")
        if start.version or start.tags:
            raise self._refusal(start, (), "a directive; expected plain YAML without lines that begin with %")
        data = self._value(self._next(()), ())
        self._next(())  # the document's end
        after = self._next(())
        if isinstance(after, yaml.DocumentStartEvent):
            raise self._refusal(after, (), "a second document; expected one document in a file")
        return Document(data, self._places)

    def _next(self, path: Path) -> yaml.Event:
        try:
            return next(self._events)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Place(mark.line + 1, mark.column + 1) if mark else Place()
            raise _refused(self._file, place, path, f"{error.problem}; {_EXPECTED}") from error

    def _value(self, event: yaml.Event, path: Path) -> object:
        """The value that begins with this event."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._refusal(event, path, f"more than {MAX_NODES} values; expected a smaller file")
        self._places.setdefault(path, _place(event))
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            kind = "alias" if isinstance(event, yaml.AliasEvent) else "anchor"
            raise self._refusal(event, path, f"the {kind} `{event.anchor[:60]}`; expected the value written out")
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)) and event.tag is not None:
            raise self._refusal(event, path, f"the tag `{event.tag[:60]}`; expected a plain value")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if len(path) >= MAX_DEPTH:
            raise self._refusal(event, path, f"deeper than {MAX_DEPTH} levels; expected a flatter file")
        return self._mapping(path) if isinstance(event, yaml.MappingStartEvent) else self._sequence(path)

    def _sequence(self, path: Path) -> list[object]:
        items: list[object] = []
        while not isinstance(event := self._next(path), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, object]:
        entries: dict[str, object] = {}
        while not isinstance(event := self._next(path), yaml.MappingEndEvent):
            key = self._key(event, path)
            if key in entries:
                first = self._places[*path, key].line
                raise self._refusal(event, (*path, key), f"a second time, after line {first}; expected each key once")
            self._places[*path, key] = _place(event)
            entries[key] = self._value(self._next((*path, key)), (*path, key))
        return entries

    def _key(self, event: yaml.Event, path: Path) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._refusal(event, path, "a key that is not text; expected `key: value`")
        key = self._value(event, path)
        if event.implicit[0] and event.value == "<<":
            raise self._refusal(event, path, "a merge key `<<`; expected the keys written out")
        if not isinstance(key, str):
            raise self._refusal(event, path, f"the key {event.value[:60] or 'null'} is not text; expected it in quotes")
        return key

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> object:
        text = event.value
        if found := _UNPRINTABLE.search(text):
            raise self._refusal(event, path, _unprintable(found[0]))
        if not event.implicit[0]:  # quoted, or a block
            return text
        if text in _WORDS:
            return _WORDS[text]
        if not _NUMBER.fullmatch(text):
            return text
        if sum(map(str.isdigit, text)) > MAX_DIGITS:
            raise self._refusal(event, path, f"a number of more than {MAX_DIGITS} digits; expected fewer, or quotes")
        number = float(text)
        if not math.isfinite(number):
            raise self._refusal(event, path, f"the number {text} is too large; expected a finite one")
        return int(text) if text.lstrip("-").isdigit() else number

    def _refusal(self, event: yaml.Event, path: Path, what: str) -> WorkflowError:
        return _refused(self._file, _place(event), path, what)


def _unprintable(character: str) -> str:
    if character == "\ufeff":
        return "a byte order mark; expected a file saved as UTF-8 without one"
    return f"the character U+{ord(character):04X}; expected printable text"


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark else Place()


def _refused(file: str, place: Place, path: Path, what: str) -> WorkflowError:
    return WorkflowError((f"{file}:{place.line}:{place.column} {show(path)}: {what}",))
