"""The file of values: what is accepted, and that errors name a line and never a value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import Invalid, TooLarge
from tenure.residue.values import MAX_BYTES, MAX_VALUES, Value, parse_values


def test_lines_labels_and_line_ends():
    raw = "\ufeffada@example.org\r\n\n  \nname\tAda Lovelace\nwith = spaces \n".encode()
    assert parse_values(raw) == (
        Value(1, "ada@example.org"),
        Value(4, "Ada Lovelace", "name"),
        Value(5, "with = spaces "),
    )
    assert "ada" not in repr(parse_values(raw))


@pytest.mark.parametrize(
    ("raw", "line", "rule"),
    [
        (b"long enough\nabc\n", 2, "min-length"),
        (b"name\tabc\n", 1, "min-length"),
        (b"  a  b   \n   ab   \n", 1, None),
        (b"\xff\xfe\xfa secret", 1, "utf-8"),
        (b"good value\nb\xe4d value", 2, "utf-8"),
        (b"s" * (MAX_BYTES + 1), 1, "max-length"),
        ("Ada\u00e9\tvalue long enough".encode(), 1, "label"),
        (b"x" * 41 + b"\tvalue long enough", 1, "label"),
        (b"ada lovelace it is\tAda Lovelace", 1, "label"),
        (b"first\tsecret one\nsecret one\tanother", 2, "label"),
    ],
)
def test_bad_lines_are_named(raw, line, rule):
    if rule is None:
        line, rule = 2, "min-length"
    with pytest.raises(Invalid) as caught:
        parse_values(raw)
    assert (caught.value.field, caught.value.rule) == ("values", rule)
    assert f"Line {line}" in caught.value.detail
    assert caught.value.remedy
    said = repr((caught.value.detail, caught.value.remedy))
    for secret in ("secret", "Lovelace", "b\ufffdd", "ssss", "xxxx", "Ada\u00e9"):
        assert secret not in said


@pytest.mark.parametrize("raw", [b"", b"\n\n", b" \n"])
def test_no_value_at_all(raw):
    with pytest.raises(Invalid, match="no value"):
        parse_values(raw)


def test_too_many():
    with pytest.raises(TooLarge):
        parse_values(b"".join(b"value %d\n" % n for n in range(MAX_VALUES + 1)))


@given(st.binary(max_size=200))
def test_anything_parses_or_is_refused(raw):
    try:
        values = parse_values(raw)
    except Invalid:
        return
    assert all(len(value.text.encode()) >= 4 for value in values)
