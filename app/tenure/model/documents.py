"""Text to plain values: a strict YAML reader that keeps line numbers, and JSON.

YAML is read from libyaml's events, never through a constructor: no tags, no aliases (so no alias
bombs), no duplicate keys, bounded depth. Plain scalars follow the YAML 1.2 core schema (§10.3.2), so
`no` and `2026-01-01` stay text.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tenure.errors import Invalid, Malformed, TooLarge

SIZE_MAX = 1024 * 1024
DEPTH_MAX = 32

Path = tuple[str | int, ...]

_FILES = "files"
_BOM = "\ufeff"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER = re.compile(
    r"[-+]?(?:[0-9]{1,18}|(?:\.[0-9]{1,18}|[0-9]{1,18}\.[0-9]{0,18})(?:[eE][-+]?[0-9]{1,3})?)\Z"
)
_PLAIN = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True, slots=True)
class Document:
    """One plain value and, where it is known, the line from 1 at which each part of it begins.

    `file` is the number, from 0, of the file that it stands in, where several were sent together.
    """

    value: Any
    lines: Mapping[Path, int] = field(default_factory=dict)
    file: int | None = None

    def line(self, path: Path) -> int | None:
        """The line of the part at `path`, or of the nearest part around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def items(self) -> "Iterator[Document]":
        """The document itself, or, if it is a list, each of its items as a document."""
        if not isinstance(self.value, list):
            yield self
            return
        below: list[dict[Path, int]] = [{} for _ in self.value]
        for path, line in self.lines.items():
            if path and isinstance(path[0], int):
                below[path[0]][path[1:]] = line
        for value, lines in zip(self.value, below, strict=True):
            yield Document(value, lines, self.file)


def read_documents(text: str | bytes) -> list[Document]:
    """Read JSON or a stream of YAML documents of at most 1 MiB and 32 levels.

    `{"files": ["…", "…"]}` is several such texts, each read by itself: where one ends is never in doubt.
    Raises `TooLarge` over a limit and `Malformed` for what cannot be read, with line and file.
    """
    if len(text) > SIZE_MAX or (isinstance(text, str) and len(text.encode(errors="replace")) > SIZE_MAX):
        raise TooLarge(
            "The manifests are larger than 1 MiB. Nothing was applied.",
            field="manifests",
            rule="size",
            remedy="Split them into several applies.",
        )
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as problem:
            raise _not_text() from problem
    whole = _read(text, None)
    if len(whole) == 1 and _is_files(whole[0].value):
        return _of_files(whole[0].value[_FILES])
    return whole


def _is_files(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {_FILES}


def _of_files(texts: object) -> list[Document]:
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise Invalid(
            "`files` is not a list of texts. Nothing was applied.",
            field=_FILES,
            rule="list",
            remedy="Send the text of each file.",
        )
    found: list[Document] = []
    for number, one in enumerate(texts):
        try:
            one.encode()
            found += _read(one, number)
        except UnicodeEncodeError as problem:
            raise _not_text(file=number) from problem
        except Invalid as problem:
            problem.file = number
            raise
    return found


def _read(text: str, file: int | None) -> list[Document]:
    text = text.removeprefix(_BOM)
    if text.lstrip()[:1] in {"{", "["}:
        try:
            value = json.loads(text, object_pairs_hook=_unique)
        except (ValueError, RecursionError):
            pass  # YAML's flow style begins with the same characters: let the YAML reader judge it
        else:
            check_depth(value)
            return [Document(value) if _is_files(value) else _located(text, value, file)]
    return _read_yaml(text, file)


def _located(text: str, value: Any, file: int | None) -> Document:  # noqa: ANN401 - whatever the JSON holds
    """A JSON value with its lines, where YAML's reader, which counts them, reads the same."""
    try:
        same = _read_yaml(text, file)
    except Invalid:
        return Document(value, file=file)
    lines = same[0].lines if len(same) == 1 and same[0].value == value else {}
    return Document(value, lines, file)


def check_depth(value: object) -> None:
    """Refuse plain values that nest deeper than 32 levels."""
    level: list[Any] = [value]
    for _ in range(DEPTH_MAX + 1):
        level = [part for part in level if isinstance(part, dict | list)]
        if not level:
            return
        level = [part for outer in level for part in (outer.values() if isinstance(outer, dict) else outer)]
    raise _too_deep()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError  # the YAML reader refuses it as well, and says on which line
    return found


def _read_yaml(text: str, file: int | None) -> list[Document]:
    try:
        return list(_Builder(file).documents(yaml.parse(text, Loader=_LOADER)))
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        raise Malformed(
            f"The manifests cannot be read as YAML{'' if line is None else f' at line {line}'}. "
            "Nothing was applied.",
            field="manifests",
            rule="yaml",
            remedy="Correct the syntax; indentation uses spaces only.",
            line=line,
        ) from problem


class _Builder:
    """Builds values from YAML events with an explicit stack: depth costs no interpreter stack."""

    def __init__(self, file: int | None) -> None:
        self._file = file
        self._stack: list[tuple[Any, Path]] = []
        self._keys: list[str | None] = []
        self._lines: dict[Path, int] = {}
        self._root: Any = None

    def documents(self, events: Iterator[yaml.Event]) -> Iterator[Document]:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._lines, self._root = {}, None
            elif isinstance(event, yaml.DocumentEndEvent):
                if self._root is not None:
                    yield Document(self._root, self._lines, self._file)
            elif isinstance(event, yaml.AliasEvent):
                raise _refused(event, "aliases", "an alias", "Write the value out.")
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._open(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._stack.pop()
                self._keys.pop()

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        _no_tag(event)
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = self._place(value, event)
        if len(self._stack) >= DEPTH_MAX:
            raise _too_deep(_line(event))
        self._stack.append((value, path))
        self._keys.append(None)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        _no_tag(event)
        if self._stack and isinstance(self._stack[-1][0], dict) and self._keys[-1] is None:
            self._key(event)
            return
        self._place(_plain(event) if not event.style else event.value, event)

    def _key(self, event: yaml.ScalarEvent) -> None:
        if event.value == "<<" and not event.style:
            raise _refused(event, "merge-keys", "a merge key", "Write the fields out.")
        if not event.style and not isinstance(_plain(event), str):
            raise _refused(event, "text-keys", "a key that is not text", "Put the key in quotes.")
        if event.value in self._stack[-1][0]:
            raise _refused(event, "unique-keys", "the same key twice in one mapping", "Keep one of the two.")
        self._keys[-1] = event.value

    def _place(self, value: object, event: yaml.Event) -> Path:
        path: Path = ()
        if not self._stack:
            self._root = value
        else:
            parent, above = self._stack[-1]
            if isinstance(parent, list):
                path = (*above, len(parent))
                parent.append(value)
            else:
                key = self._keys[-1]
                if key is None:
                    raise _refused(event, "text-keys", "a key that is not text", "Use a plain word as key.")
                path = (*above, key)
                parent[key] = value
                self._keys[-1] = None
        self._lines[path] = _line(event)
        return path


def _plain(event: yaml.ScalarEvent) -> object:
    if event.value in _PLAIN:
        return _PLAIN[event.value]
    return float(event.value) if _NUMBER.match(event.value) else event.value


def _no_tag(event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
    if event.tag is not None:
        raise _refused(event, "tags", "a tag", "Leave the tag out.")


def _refused(event: yaml.Event, rule: str, what: str, remedy: str) -> Invalid:
    return Invalid(
        f"Line {_line(event)} of the manifests uses {what}, which is not accepted. Nothing was applied.",
        field="manifests",
        rule=rule,
        remedy=remedy,
        line=_line(event),
    )


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _not_text(file: int | None = None) -> Malformed:
    return Malformed(
        "The manifests are not UTF-8 text. Nothing was applied.",
        field="manifests",
        rule="encoding",
        remedy="Save the file as UTF-8.",
        file=file,
    )


def _too_deep(line: int | None = None) -> TooLarge:
    return TooLarge(
        f"The manifests nest deeper than {DEPTH_MAX} levels. Nothing was applied.",
        field="manifests",
        rule="depth",
        remedy="Flatten them.",
        line=line,
    )
