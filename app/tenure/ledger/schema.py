"""What an entry may hold, member by member: a closed set, so that "nothing personal" can be checked.

Strings are opaque ids, digests, or tokens: the administrators' vocabulary. A token has no spaces and no
`@`: neither free text nor an address fits into one. docs/spec/ledger.md explains each member.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tenure.ledger.canonical import MAX_INTEGER

VERSION = 1
MAX_ENTRY = 4095
"""Longest entry in bytes."""
MAX_INLINE = 64
"""Most accesses an entry carries itself. More, or too long ones, go to a separate list."""
ACTIONS = frozenset({"returned", "written", "deleted", "denied", "withheld", "listed"})
HASH_BYTES = 32
NONCE_BYTES = 16

_KIND = re.compile(r"(?=.{1,64}\Z)[a-z]+(?:[.-][a-z]+)*\Z")
_AT = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d\.\d{6}Z\Z", re.ASCII)
_WRITER = re.compile(r"[0-9a-f]{16}\Z")
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_HEX_HASH = re.compile(r"[0-9a-f]{64}\Z")
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/#+=-]{0,199}\Z")
_MEMBER = re.compile(r"[a-z][a-z0-9_]{0,31}\Z")
MAX_RULES = 64

Check = Callable[[Any], bool]


def _matches(pattern: re.Pattern[str]) -> Check:
    match = pattern.match
    return lambda value: type(value) is str and match(value) is not None


def is_count(value: object) -> bool:
    """An integer from 0 that every JSON reader understands alike."""
    return type(value) is int and 0 <= value <= MAX_INTEGER


def _is_base64(length: int) -> Check:
    """Exactly `length` bytes in the one canonical spelling of RFC 4648 §4."""
    size = 4 * ((length + 2) // 3)
    padding = 3 * (size // 4) - length
    # The last character before the padding has unused low bits, which must be zero (§3.5).
    last = {0: "[A-Za-z0-9+/]", 1: "[AEIMQUYcgkosw048]=", 2: "[AQgw]=="}[padding]
    return _matches(re.compile(rf"[A-Za-z0-9+/]{{{size - padding - 1}}}{last}\Z"))


is_kind = _matches(_KIND)
is_instant = _matches(_AT)
is_id = _matches(_ID)
is_token = _matches(_TOKEN)
is_hex_hash = _matches(_HEX_HASH)
_is_commitment = _is_base64(HASH_BYTES)
_is_nonce = _is_base64(NONCE_BYTES)

_ACCESS_REQUIRED: Mapping[str, Check] = {
    "record": is_id,
    "version": is_count,
    "action": lambda value: type(value) is str and value in ACTIONS,
}
_ACCESS_OPTIONAL: Mapping[str, Check] = {
    "commitment": _is_commitment,
    "entry": _is_nonce,
    "segment": is_count,
}


def _is_access(value: object) -> bool:
    return type(value) is dict and misfit(value, _ACCESS_REQUIRED, _ACCESS_OPTIONAL) is None


def is_access_list(value: object) -> bool:
    """True for the JSON form of a list of accesses that is not empty, of any length."""
    return type(value) is list and bool(value) and all(map(_is_access, value))


def _is_inline_list(value: object) -> bool:
    return type(value) is list and len(value) <= MAX_INLINE and is_access_list(value)


def _is_rules(value: object) -> bool:
    return type(value) is list and 0 < len(value) <= MAX_RULES and all(map(is_token, value))


def _is_datum(value: object) -> bool:
    if type(value) is list:
        return all(map(is_token, value))
    return type(value) is bool or is_count(value) or is_token(value)


def _is_data(value: object) -> bool:
    return (
        type(value) is dict
        and bool(value)
        and all(_MEMBER.match(name) and _is_datum(item) for name, item in value.items())
    )


REQUIRED: Mapping[str, Check] = {
    "v": lambda value: type(value) is int and value == VERSION,
    "kind": is_kind,
    "at": is_instant,
    "writer": _matches(_WRITER),
    "n": is_count,
    "nonce": _is_nonce,
    "outcome": is_token,
}
OPTIONAL: Mapping[str, Check] = {
    "principal": is_id,
    "on_behalf_of": is_id,
    "decision": is_id,
    "policy": _matches(_DIGEST),
    "purpose": is_token,
    "rules": _is_rules,
    "accesses": _is_inline_list,
    "accesses_sha256": is_hex_hash,
    "accesses_count": lambda value: type(value) is int and 0 < value <= MAX_INTEGER,
    "data": _is_data,
}


def misfit(
    value: Mapping[str, Any],
    required: Mapping[str, Check] = REQUIRED,
    optional: Mapping[str, Check] = OPTIONAL,
) -> str | None:
    """The name of the first member that is missing, unknown or wrong; None when all is well.

    An unknown member's own name is not repeated: whoever put it there may have put a person's name there.
    """
    known = 0
    for name, check in required.items():
        if name not in value or not check(value[name]):
            return name
    for name, check in optional.items():
        if name in value:
            known += 1
            if not check(value[name]):
                return name
    return None if len(value) == len(required) + known else "an unknown member"


def entry_misfit(entry: Mapping[str, Any]) -> str | None:
    """`misfit` of an entry, with what holds between members."""
    wrong = misfit(entry)
    if wrong is None:
        separate = "accesses_sha256" in entry
        if separate != ("accesses_count" in entry):
            return "accesses_count"
        if separate and "accesses" in entry:
            return "accesses"
    return wrong
