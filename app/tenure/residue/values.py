"""The values to look for: one a line, UTF-8, optionally `label<TAB>value`.

They are personal data by definition. Nothing here or above puts one into an error, a report or a log: a value
is named by its line, and by its label if that says nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tenure.errors import Invalid, Malformed, TooLarge

MIN_BYTES: Final = 4
"""Shorter values are in every file by chance: one in four billion positions for four bytes, sixteen million
for three."""
MAX_BYTES: Final = 1024
MAX_VALUES: Final = 10_000

_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}")
_FIELD: Final = "values"


@dataclass(frozen=True, slots=True)
class Value:
    """One text to look for. Its `repr` does not show it."""

    line: int
    text: str = field(repr=False)
    label: str = ""


def parse_values(raw: bytes) -> tuple[Value, ...]:
    """Read a file of values. Empty lines are left out; a value keeps its inner and outer spaces.

    Raises Malformed when it is not UTF-8, Invalid for a value that is too short, a label that could be read
    as personal data, or no value at all; TooLarge for a long value or too many. Errors name the line.
    """
    values = []
    for line, row in enumerate(_rows(raw), start=1):
        label, tab, text = row.partition("\t")
        if not tab:
            label, text = "", row
        if not row.strip():
            continue
        _check_text(text, line)
        if tab and not _LABEL.fullmatch(label):
            raise Invalid(
                f"Line {line}: a label is 1 to 40 ASCII letters, digits, spaces, dots, dashes, underscores. "
                "Nothing was scanned.",
                field=_FIELD,
                rule="label",
                remedy="Write label<TAB>value, or only the value. Labels are printed: keep them impersonal.",
            )
        values.append(Value(line, text, label))
    _check_all(values)
    return tuple(values)


def values_of(texts: Sequence[str]) -> tuple[Value, ...]:
    """Values given one by one, numbered from 1. Raises as `parse_values`."""
    for line, text in enumerate(texts, start=1):
        _check_text(text, line)
    values = [Value(line, text) for line, text in enumerate(texts, start=1)]
    _check_all(values)
    return tuple(values)


def _rows(raw: bytes) -> list[str]:
    for line, row in enumerate(raw.split(b"\n"), start=1):
        try:
            row.decode()
        except UnicodeDecodeError:
            raise Malformed(
                f"Line {line} is not UTF-8. Nothing was scanned.",
                field=_FIELD,
                rule="utf-8",
                remedy="Save the values as UTF-8 text, one a line.",
            ) from None
    return [row.removesuffix("\r") for row in raw.decode("utf-8-sig").split("\n")]


def _check_text(text: str, line: int) -> None:
    size = len(text.strip().encode())
    if size < MIN_BYTES:
        raise Invalid(
            f"Line {line}: a value of fewer than {MIN_BYTES} bytes is found by chance everywhere. "
            "Nothing was scanned.",
            field=_FIELD,
            rule="min-length",
            remedy="Give a longer value, such as the whole name with the address or number beside it.",
        )
    if len(text.encode()) > MAX_BYTES:
        raise TooLarge(
            f"Line {line}: a value has at most {MAX_BYTES} bytes. Nothing was scanned.",
            field=_FIELD,
            rule="max-length",
            remedy="Give a part of it that is of this person only.",
        )


def _check_all(values: list[Value]) -> None:
    if not values:
        raise Invalid(
            "There is no value to look for. Nothing was scanned.",
            field=_FIELD,
            rule="not-empty",
            remedy="Write one value a line.",
        )
    if len(values) > MAX_VALUES:
        raise TooLarge(
            f"At most {MAX_VALUES} values can be looked for at once. Nothing was scanned.",
            field=_FIELD,
            rule="max-values",
            remedy="Split the file and scan once for each part.",
        )
    texts = {value.text.casefold() for value in values}
    for value in values:
        label = value.label.casefold()
        if label and any(text in label for text in texts):
            raise Invalid(
                f"Line {value.line}: the label holds a value, and labels are printed. Nothing was scanned.",
                field=_FIELD,
                rule="label",
                remedy="Choose a label that says nothing about the person, such as email.",
            )
