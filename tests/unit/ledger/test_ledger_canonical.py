"""Canonical JSON: the fast path is the reference's, and only canonical bytes pass."""

import math

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.errors import Malformed
from tenure.ledger.base64 import from_base64, to_base64
from tenure.ledger.canonical import canonical, is_canonical, is_simple, parse_canonical

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)


def values(text, scalars):
    return st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=20)


SCALARS = st.none() | st.booleans() | INTEGERS | TEXT
SIMPLE = values(st.text(st.characters(max_codepoint=127)), SCALARS)
ANY = values(TEXT, SCALARS | st.floats(allow_nan=False, allow_infinity=False))


@given(SIMPLE)
@settings(deadline=None)
def test_the_fast_path_gives_the_reference_encoding(value):
    assert is_simple(value)
    assert canonical(value) == rfc8785.dumps(value)


@given(ANY)
@settings(deadline=None)
def test_every_value_gets_the_reference_encoding_and_reads_back(value):
    raw = canonical(value)
    assert raw == rfc8785.dumps(value)
    assert is_canonical(raw)
    assert parse_canonical(raw) == value


def test_keys_are_sorted_by_utf16_units():
    # U+1F600 is the surrogate pair D83D DE00: before U+FB33 by unit, after it by code point.
    assert canonical({"\ufb33": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\ufb33":1}'.encode()


def test_the_example_of_rfc8785():
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert canonical(value).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        2**53,
        -(2**53),
        "\ud800",
        {"\ud800": 1},
        {1: 2},
        {None: 1},
        {"a": ...},
        b"x",
        {1, 2},
    ],
    ids=repr,
)
def test_what_json_cannot_carry_is_refused(value):
    with pytest.raises(Malformed):
        canonical(value)
    with pytest.raises(Malformed):
        canonical([{"deeper": value}])


def test_depth_is_refused_not_crashed():
    value: list = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(Malformed):
        canonical(value)
    while value:  # taken apart by hand, so that no deep recursion frees it
        value = value[0]
    assert not is_canonical(b"[" * 100_000 + b"]" * 100_000)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"a":1} ',
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b"1.0",
        b"-0",
        b"1e3",
        b"NaN",
        b"Infinity",
        b"9007199254740993",
        b"1000000000000000000000",
        b'"\\u0041"',
        b'"\\/"',
        b'"\\u000A"',
        b'"\xff"',
        b'"\\ud800"',
        b"\xef\xbb\xbf1",
        "[1]".encode("utf-16"),
        b"1" * 5000,
    ],
)
def test_other_spellings_are_not_canonical(raw):
    assert not is_canonical(raw)


@given(st.binary())
@settings(deadline=None)
def test_base64_round_trip(raw):
    assert from_base64(to_base64(raw)) == raw


@given(st.text(alphabet="AQgwZz01+/= \n-_é", max_size=9))
@settings(deadline=None)
def test_base64_has_one_spelling(text):
    try:
        raw = from_base64(text)
    except ValueError:
        return
    assert to_base64(raw) == text
