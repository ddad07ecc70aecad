"""Canonical JSON (RFC 8785, JCS): equal values, equal bytes, so that hashes can be recomputed by anyone."""

import json
from typing import Any

import rfc8785

from tenure.errors import Malformed

MAX_INTEGER = 2**53 - 1
"""Largest magnitude of an integer: beyond it JSON readers disagree (RFC 8785 §3.2.2.3, RFC 7493 §2.2)."""

_SURELY_LARGE = 20
_PLAIN = frozenset({str, bool, type(None)})

# One encoder, built once: json.dumps builds one for each call that is not all defaults.
_fast = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode


def canonical(value: object) -> bytes:
    """The one canonical encoding of a JSON value, UTF-8.

    `value` is made of dict (str keys), list or tuple, str, int within ±(2^53 - 1), float, bool and None.
    Raises `Malformed` for anything else: NaN, infinity, larger integers, lone surrogates, other types,
    nesting deeper than the interpreter can follow.
    """
    try:
        if is_simple(value):
            return encode_simple(value)
        return rfc8785.dumps(value)  # type: ignore[arg-type]  # it refuses what it cannot encode
    except RecursionError as failure:
        raise _not_json("it is nested too deeply") from failure
    except ValueError as failure:  # CanonicalizationError and UnicodeEncodeError are both ValueErrors
        raise _not_json("it has a number, a string or a type that JSON cannot carry") from failure


def encode_simple(value: object) -> bytes:
    r"""Encode a value for which `is_simple` holds. Raises ValueError for lone surrogates.

    For such values the standard encoder's output is RFC 8785's: ASCII keys sort alike by code point and
    by UTF-16 unit (§3.2.3), integers have one spelling, and both escape exactly `"`, `\` and U+0000 to
    U+001F, in the same way (§3.2.2.2).
    """
    return _fast(value).encode()


def is_simple(value: Any) -> bool:  # noqa: ANN401 - mypy does not narrow an object by `type(…)`
    """True when the fast encoder is right for this value: exact types, ASCII keys, small integers."""
    kind = type(value)
    if kind is dict:
        for key, item in value.items():  # no generator, nor a call for each text: a value has many
            if type(key) is not str or not key.isascii():
                return False
            if type(item) not in _PLAIN and not is_simple(item):
                return False
        return True
    if kind is list:
        return all(map(is_simple, value))
    return kind in _PLAIN or (kind is int and -MAX_INTEGER <= value <= MAX_INTEGER)


def parse_canonical(raw: bytes) -> Any:  # noqa: ANN401 - whatever the JSON holds
    """Read bytes that must be canonical JSON; raises ValueError when they are not.

    Re-encoding is the test: it catches repeated keys, white space, other spellings of numbers and
    strings, and integers whose value readers would disagree about.
    """
    try:
        value = json.loads(raw.decode("utf-8"), parse_int=_number)
        if canonical(value) != raw:
            raise ValueError("not the canonical encoding")
    except (RecursionError, Malformed) as failure:
        raise ValueError("not canonical JSON") from failure
    return value


def is_canonical(raw: bytes) -> bool:
    """True when `raw` is the canonical encoding of the JSON value that it holds."""
    try:
        parse_canonical(raw)
    except ValueError:
        return False
    return True


def _number(digits: str) -> int | float:
    """Integers beyond 2^53 are doubles to RFC 8785, which spells those below 1e21 without an exponent."""
    small = len(digits) < _SURELY_LARGE and abs(number := int(digits)) <= MAX_INTEGER
    return number if small else float(digits)


def _not_json(why: str) -> Malformed:
    return Malformed(
        f"The value has no canonical JSON encoding: {why}. Nothing was encoded. Send I-JSON (RFC 7493).",
        rule="i-json",
        remedy="Send I-JSON (RFC 7493): strings of Unicode scalar values, integers within 2^53.",
    )
