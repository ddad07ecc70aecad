"""The service's JSON is the standard library's and the reference's, byte for byte."""

import json
from enum import IntEnum, StrEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.errors import Malformed
from tenure.ledger import canonical as general
from tenure.quickjson import canonical, compact

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)


class Word(StrEnum):
    ONE = "one"


class Number(IntEnum):
    ONE = 1


class Text(str):
    __slots__ = ()


@given(VALUES)
@settings(deadline=None)
def test_it_is_the_general_canonical_json(value: object) -> None:
    assert canonical(value) == general.canonical(value)
    assert json.loads(compact(value)) == value


def test_every_character_is_spelled_alike() -> None:
    for first in range(0, 0x110000, 0x800):
        if first != 0xD800:
            text = "".join(map(chr, range(first, first + 0x800)))
            assert canonical([text]) == general.canonical([text])


def test_what_has_no_encoding_is_refused_alike() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("\ud800", {"\ud800": 1}, deep, 2**53, float("nan"), object(), {1: 1}):
        with pytest.raises(Malformed) as refused:
            general.canonical(value)
        with pytest.raises(Malformed) as quickly:
            canonical(value)
        assert str(quickly.value) == str(refused.value)


@pytest.mark.parametrize("value", [Word.ONE, Number.ONE, Text("one"), {Text("a"): (Word.ONE, [Text("b")])}])
def test_subclasses_are_their_values(value: object) -> None:
    expected = json.dumps(value, separators=(",", ":")).encode()
    assert compact(value) == expected
