"""A JWT in compact form (RFC 7519, RFC 7515 §7.1), taken apart. Nothing in it is believed yet.

Stricter than the RFCs wherever two readers could differ: one spelling of base64url, no member twice, no
header that says where a key is to be had or that something must be understood.
"""

import base64
import binascii
import json
import re
from typing import Any, Final, NamedTuple, NoReturn

from tenure.model.issuer import ALGORITHMS, MAX_TEXT
from tenure.oidc.refusal import refused

MAX_TOKEN: Final = 16 << 10
MAX_AUDIENCES: Final = 8
_PART = re.compile(r"[A-Za-z0-9_-]+")
_PARTS = 3
_MISLEADING = ("jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc", "epk")
"""Keys that a token brings, extensions, encryption (RFC 8725 §3.10): refused, not ignored."""


class Parsed(NamedTuple):
    """`text` is the whole of it. `type` is lower case, without `application/`; "" if there is none."""

    text: str
    algorithm: str
    key_id: str
    type: str
    issuer: str
    audiences: tuple[str, ...]
    claims: dict[str, Any]


def is_token(text: str) -> bool:
    """Whether it looks like a JWT at all: three parts."""
    return text.count(".") == _PARTS - 1


def parse_token(text: str) -> Parsed:
    """Take a token apart. Raises Unauthenticated, naming the rule."""
    parts = text.split(".")
    if len(text) > MAX_TOKEN or len(parts) != _PARTS or not all(map(_PART.fullmatch, parts)):
        raise refused(f"a signed JWT in compact form, at most {MAX_TOKEN} characters")
    header, claims = _object(parts[0], "header"), _object(parts[1], "claims")
    for name in _MISLEADING:
        if name in header:
            raise refused(f"a header without {name}", "Have the issuer sign without it.")
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "")
    if algorithm not in ALGORITHMS:
        raise refused("an asymmetric algorithm", "Have the issuer sign with RS256, ES256 or EdDSA.")
    if not is_name(key_id):
        raise refused("a header with kid", "Have the issuer name its keys.")
    if not isinstance(kind, str):
        raise refused("a header whose typ is a text")
    return Parsed(
        text,
        str(algorithm),
        str(key_id),
        kind.lower().removeprefix("application/"),
        _issuer(claims),
        _audiences(claims),
        claims,
    )


def is_name(value: object) -> bool:
    """A text of one to 255 printable characters."""
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT and value.isprintable()


def _issuer(claims: dict[str, Any]) -> str:
    issuer = claims.get("iss")
    if not is_name(issuer):
        raise refused("iss, a text")
    return str(issuer)


def _audiences(claims: dict[str, Any]) -> tuple[str, ...]:
    """RFC 7519 §4.1.3: one text, or several."""
    given = claims.get("aud")
    several = [given] if isinstance(given, str) else given
    if not isinstance(several, list) or not all(map(is_name, several)):
        raise refused("aud, a text or a list of texts")
    if not 0 < len(several) <= MAX_AUDIENCES or len(set(several)) != len(several):
        raise refused(f"aud with one to {MAX_AUDIENCES} different audiences")
    return tuple(several)


def _object(part: str, what: str) -> dict[str, Any]:
    value = None
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == part:  # the one spelling
            value = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except (binascii.Error, ValueError, RecursionError):
        pass
    if not isinstance(value, dict):
        raise refused(f"a {what} part that is a JSON object, each member once, in base64url")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 7519 §4: names are unique. Readers differ in which of two they take, so neither is."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _no_number(_text: str) -> NoReturn:
    raise ValueError
