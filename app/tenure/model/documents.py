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
    """One plain value and, for YAML, the 1-based line at which each part of it begins."""

    value: Any
    lines: Mapping[Path, int] = field(default_factory=dict)

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
            yield Document(value, lines)


def read_documents(text: str | bytes) -> list[Document]:
    """Read JSON or a stream of YAML documents of at most 1 MiB and 32 levels.

    Raises `TooLarge` over a limit and `Malformed` for what cannot be read, with the line.
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
            raise Malformed(
                "The manifests are not UTF-8 text. Nothing was applied.",
                field="manifests",
                rule="encoding",
                remedy="Save the file as UTF-8.",
            ) from problem
    if text.lstrip()[:1] in {"{", "["}:
        try:
            value = json.loads(text, object_pairs_hook=_unique)
        except (ValueError, RecursionError):
            pass  # YAML's flow style begins with the same characters: let the YAML reader judge it
        else:
            check_depth(value)
            return [Document(value)]
    return _read_yaml(text)


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
        raise Invalid(
            "The manifests name the same key twice in one mapping. Nothing was applied.",
            field="manifests",
            rule="unique-keys",
            remedy="Keep one of the two.",
        )
    return found


def _read_yaml(text: str) -> list[Document]:
    try:
        return list(_Builder().documents(yaml.parse(text, Loader=_LOADER)))
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise Malformed(
            f"The manifests cannot be read as YAML{where}. Nothing was applied.",
            field="manifests",
            rule="yaml",
            remedy="Correct the syntax; indentation uses spaces only.",
        ) from problem


class _Builder:
    """Builds values from YAML events with an explicit stack: depth costs no interpreter stack."""

    def __init__(self) -> None:
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
                    yield Document(self._root, self._lines)
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
            raise _too_deep()
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
    )


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _too_deep() -> TooLarge:
    return TooLarge(
        f"The manifests nest deeper than {DEPTH_MAX} levels. Nothing was applied.",
        field="manifests",
        rule="depth",
        remedy="Flatten them.",
    )
