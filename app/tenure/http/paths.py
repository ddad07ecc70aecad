"""What the router cannot tell apart: verbs behind ids, and record keys.

    /v1/<noun>[/<kind>]/<id>:<verb>  the router takes a whole segment or none, so the verb becomes its own
    /v1/scopes/<scope>/records/<key> the key is arbitrary text and may hold an encoded slash, which the
                                     decoded path cannot tell from a separator

Both are settled on the request's path before it is routed. Records are routed by one constant path: the
router remembers paths, and keys have no business in there.
"""

import re
from collections.abc import MutableMapping
from typing import Any, cast
from urllib.parse import quote, unquote_to_bytes

from litestar.types import Scope

from tenure.errors import Malformed, NotFound
from tenure.model.names import is_scope

_VERB = re.compile(
    r"/v1/(subjects|decisions|holds|shreds|tenants|breakglass|notices|requests|jobs|manifests/[^/:]+)/([^/:]+):([a-z]+)"
)
_MARK = "/:"
_NOWHERE = "/-"
_ADDRESS = "tenure.record"
# By the number of a path's parts.
_RECORDS = {6: "/v1/scopes/-/records/-", 7: "/v1/scopes/-/records/-/versions"}


def settle(scope: MutableMapping[str, Any]) -> None:
    """Rewrite a request's path to the one that its handler is registered under."""
    path = scope["path"]
    if path.startswith("/v1/scopes/"):
        raw = scope.get("raw_path") or quote(path).encode()
        parts = raw.partition(b"?")[0].split(b"/")  # '', v1, scopes, SCOPE, records, KEY[, versions]
        routed = _RECORDS.get(len(parts))
        if routed and b"/".join((parts[4], *parts[6:])) in (b"records", b"records/versions"):
            scope["path"] = routed
            scope[_ADDRESS] = (parts[3], parts[5])
    elif ":" in path:
        if verb := _VERB.fullmatch(path):
            scope["path"] = f"/v1/{verb[1]}/{verb[2]}/:{verb[3]}"
        elif _MARK in path:
            scope["path"] = _NOWHERE


def public(path: str) -> str:
    """A registered path as callers write it."""
    return path.replace(_MARK, ":").replace("{scope_name}", "{scope}")


def record_address(scope: Scope) -> tuple[str, str]:
    """Scope and key of a record's path. Raises Malformed for broken escapes, NotFound for no such scope."""
    address = cast("MutableMapping[str, Any]", scope).get(_ADDRESS)
    if address is None:  # an odd spelling, such as doubled slashes, that only the router understood
        raise no_path()
    return check_scope_name(_text(address[0], "scope")), _text(address[1], "key")


def no_path() -> NotFound:
    """A path that nothing is served under."""
    return NotFound(
        "There is no such path here.",
        field="path",
        rule="a path of /schema/openapi.json",
        remedy="Correct the path; in a record key write / as %2F.",
    )


def check_scope_name(name: str) -> str:
    """Refuse what cannot be a scope as one that is not declared: it never reaches the store."""
    if not is_scope(name):
        raise NotFound(
            "There is no such scope; nothing was done.",
            field="scope",
            rule="a declared Scope manifest",
            remedy="Use a declared scope, or apply a Scope manifest for it first.",
        )
    return name


def _text(raw: bytes, field: str) -> str:
    try:
        return (unquote_to_bytes(raw) if b"%" in raw else raw).decode()
    except UnicodeDecodeError:
        raise Malformed(
            f"The {field} in the path is not UTF-8; nothing was done.",
            field=field,
            rule="percent-encoded UTF-8, RFC 3986 §2.5",
            remedy="Encode the text as UTF-8 before percent-encoding it.",
        ) from None
