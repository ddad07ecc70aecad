"""Any JSON value as blocks: nothing that is in it is left out, whether this build knows its name or not."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from tenure.rendering.paper import Block, Facts, Part, Sentences, Table, Text

NONE = "none"
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z\Z")
_FIRST = ("step", "version", "hold", "ground", "what", "scope", "category", "name")
"""Columns that say what a row is about: canonical JSON has them in the order of the alphabet."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_DEPTH = 20
"""Deeper values are shown as the JSON that they are."""

Json = Any


def shown(value: Json) -> str:
    """A value in one line: an instant as date and time, an object as `name: value; …`."""
    if isinstance(value, Mapping):
        return "; ".join(f"{named(name)}: {shown(part)}" for name, part in value.items()) or NONE
    if isinstance(value, list):
        return "; ".join(map(shown, value)) or NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "":
        return NONE
    instant = _INSTANT.match(value) if isinstance(value, str) else None
    if instant is None:
        return readable(str(value))
    day, time, fraction = instant.groups()
    return f"{day} {time}{(fraction or '').rstrip('0').rstrip('.')} UTC"


def named(member: str, names: Mapping[str, str] | None = None) -> str:
    """A member's name for people: its own of `names`, else its words."""
    return (names or {}).get(member) or readable(member.replace("_", " ").strip().capitalize()) or NONE


def readable(text: str) -> str:
    """With what does not show, or turns what shows around (bidirectional controls), as its code point."""
    if text.isprintable():  # no more than a short cut
        return text
    return "".join(
        f"[U+{ord(one):04X}]" if unicodedata.category(one) in _UNSEEN and one not in "\n\t" else one
        for one in text
    )


def blocks(value: Json, names: Mapping[str, str], depth: int = 0) -> tuple[Block, ...]:
    """An object as facts, with a part for each member that holds more; a list as a table or as sentences."""
    if isinstance(value, Mapping):
        return _of_object(value, names, depth)
    if isinstance(value, list) and value:
        if all(isinstance(one, Mapping) for one in value):
            return (_table(value, names),)
        return (Sentences(tuple(shown(one) for one in value)),)
    return (Text(shown(value)),)


def _of_object(value: Mapping[str, Json], names: Mapping[str, str], depth: int) -> tuple[Block, ...]:
    plain = {name: part for name, part in value.items() if not _is_large(part)}
    found: list[Block] = [Facts(facts(plain, names))] if plain else []
    for name, part in value.items():
        if name in plain:
            continue
        inner = blocks(part, names, depth + 1) if depth < _DEPTH else (Text(shown(part)),)
        # A heading below a part's is none: its blocks follow with the longer name.
        title = named(name, names)
        flat = tuple(one for one in inner if not isinstance(one, Part))
        if flat:
            found.append(Part(title, flat))
        found += [Part(f"{title}: {one.title}", one.blocks) for one in inner if isinstance(one, Part)]
    return tuple(found) or (Text(NONE),)


def facts(members: Mapping[str, Json], names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Rows of `Facts`."""
    return tuple((named(name, names), shown(part)) for name, part in members.items())


def _is_large(value: Json) -> bool:
    """Whether it needs a heading of its own."""
    if isinstance(value, Mapping):
        return bool(value)
    return isinstance(value, list) and bool(value)


def _place(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


def _table(rows: list[Mapping[str, Json]], names: Mapping[str, str]) -> Table:
    columns = sorted({name for row in rows for name in row}, key=lambda name: (_place(name), name))
    return Table(
        tuple(named(name, names) for name in columns),
        tuple(tuple(shown(row[name]) if name in row else "" for name in columns) for row in rows),
    )
