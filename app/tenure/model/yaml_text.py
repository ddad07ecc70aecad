"""Plain values to YAML, in one spelling: what people compare and what `tenure get -o yaml` prints.

Block style, keys in the order given, two spaces, text plain where no reader can take it for anything else
and in double quotes otherwise. Without libraries: the bare client install has none.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# Plain scalars that YAML 1.1 and 1.2 both read as this very text: no number, date, bool, null or indicator.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+(][A-Za-z0-9_./+;,()'-]*)*\Z")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_BREAKS = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]|[^\u0000-\uffff]")


def to_yaml(values: Iterable[Mapping[str, Any]]) -> str:
    """Several documents. `tenure.model.documents` reads back the same values."""
    return "---\n".join("\n".join(_mapping(value, 0)) + "\n" for value in values)


def _mapping(value: Mapping[str, Any], depth: int) -> Iterator[str]:
    pad = "  " * depth
    for key, part in value.items():
        name = f"{pad}{_text(key)}:"
        if isinstance(part, Mapping) and part:
            yield name
            yield from _mapping(part, depth + 1)
        elif isinstance(part, list) and any(isinstance(one, Mapping) for one in part):
            yield name
            for one in part:
                first, *rest = _mapping(one, depth + 1) if one else ["  " * (depth + 1) + "{}"]
                yield f"{pad}- {first.lstrip()}"
                yield from rest
        else:
            yield f"{name} {_scalar(part)}"


def _scalar(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_flow(one) for one in value)}]"
    if isinstance(value, Mapping):
        return "{}"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _flow(value: object) -> str:
    """In a list's brackets a comma would end the item."""
    shown = _scalar(value)
    return _quoted(str(value)) if isinstance(value, str) and set(shown) & set(",[]{}") else shown


def _text(value: str) -> str:
    return value if _PLAIN.match(value) and value.lower() not in _WORDS else _quoted(value)


def _quoted(value: str) -> str:
    return _BREAKS.sub(_escaped, json.dumps(value, ensure_ascii=False))


def _escaped(found: re.Match[str]) -> str:
    r"""JSON's escapes are YAML's (YAML 1.2 §5.7), but what JSON writes as two halves is one `\U` there."""
    point = ord(found[0])
    return f"\\U{point:08x}" if point > 0xFFFF else f"\\u{point:04x}"  # noqa: PLR2004 - the end of \u
