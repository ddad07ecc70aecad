"""The usual entry, written and read without the general machinery: the same, in a tenth of the time.

`write` puts an entry together from checked pieces, most of which come again and again. `read` recognises,
with one expression, entries that `entry.parse_entry` accepts; what it does not recognise is not wrong, only
unusual, and goes there. Neither accepts anything that the general way refuses; tests compare them.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tenure.ids import rfc3339
from tenure.ledger import schema
from tenure.ledger.base64 import to_base64
from tenure.ledger.canonical import MAX_INTEGER

if TYPE_CHECKING:
    from tenure.ledger.entry import Access, EntryDraft

_KEPT = 4096
_YEAR_10000 = 253_402_300_800_000_000


class _Unusual(Exception):
    """Not for here."""


# ── writing ───────────────────────────────────────────────────────────────────────────────────────
@lru_cache(_KEPT, typed=True)
def _piece(member: str, value: object) -> str:
    """`,"member":"value"` for a text that is of its form. Texts of these forms need no escapes in JSON."""
    check = schema.REQUIRED.get(member) or schema.OPTIONAL[member]
    if not check(value):
        raise _Unusual
    return f',"{member}":"{value}"'


@lru_cache(_KEPT, typed=True)
def _rules(*rules: object) -> str:
    if not schema.OPTIONAL["rules"](list(rules)):
        raise _Unusual
    return ',"rules":["' + '","'.join(map(str, rules)) + '"]'


def _access(access: "Access") -> str:
    record, version, action, commitment, entry, segment = access
    if not (schema.is_id(record) and type(version) is int and 0 <= version <= MAX_INTEGER):
        raise _Unusual
    text = f'{{"action":"{action._value_}"'
    if commitment is not None:
        if len(commitment) != schema.HASH_BYTES:
            raise _Unusual
        text += f',"commitment":"{to_base64(commitment)}"'
    if entry is not None:
        if len(entry) != schema.NONCE_BYTES:
            raise _Unusual
        text += f',"entry":"{to_base64(entry)}"'
    text += f',"record":"{record}"'
    if segment is not None:
        if type(segment) is not int or not 0 <= segment <= MAX_INTEGER:
            raise _Unusual
        text += f',"segment":{segment}'
    return f'{text},"version":{version}}}'


def _data(data: "Mapping[str, Any]") -> str:
    """None, or the digest of the row that the entry made."""
    if not data:
        return ""
    row = data.get("row")
    if len(data) != 1 or type(row) is not str or not schema.is_hex_hash(row):
        raise _Unusual
    return f',"data":{{"row":"{row}"}}'


def write(draft: "EntryDraft", writer: str, n: int) -> bytes | None:
    """The canonical bytes of a draft whose accesses fit into it, with no data but a row's digest; or None.

    Members in the order of RFC 8785 §3.2.3.
    """
    if type(n) is not int or not 0 <= n <= MAX_INTEGER:
        return None
    if not 0 <= draft.at < _YEAR_10000 or len(draft.nonce) != schema.NONCE_BYTES:
        return None
    try:
        accesses = ",".join(map(_access, draft.accesses))
        parts = [
            f'"accesses":[{accesses}],"at":"{rfc3339(draft.at)}"'
            if accesses
            else f'"at":"{rfc3339(draft.at)}"',
            _data(draft.data),
            "" if draft.decision is None else _piece("decision", draft.decision),
            _piece("kind", draft.kind._value_),
            f',"n":{n},"nonce":"{to_base64(draft.nonce)}"',
            "" if draft.on_behalf_of is None else _piece("on_behalf_of", draft.on_behalf_of),
            _piece("outcome", draft.outcome),
            "" if draft.policy is None else _piece("policy", draft.policy),
            "" if draft.principal is None else _piece("principal", draft.principal),
            "" if draft.purpose is None else _piece("purpose", draft.purpose),
            _rules(*draft.rules) if draft.rules else "",
            f',"v":{schema.VERSION}',
            _piece("writer", writer),
        ]
    except _Unusual:
        return None
    return f"{{{''.join(parts)}}}".encode()


# ── reading ───────────────────────────────────────────────────────────────────────────────────────
class Glance(NamedTuple):
    """What an auditor needs of an entry that was found to be of its form."""

    kind: str
    n: int
    writer: str


_COUNT = r"(?:0|[1-9][0-9]{0,14})"  # longer ones may be beyond 2^53 - 1
_HASH = r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="
_NONCE = r"[A-Za-z0-9+/]{21}[AQgw]=="
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_WORD = r"[A-Za-z0-9][A-Za-z0-9._:/#+=-]{0,199}"
_ACTION = "|".join(sorted(schema.ACTIONS))
_ONE = (
    rf'\{{"action":"(?:{_ACTION})"(?:,"commitment":"{_HASH}")?(?:,"entry":"{_NONCE}")?,"record":"{_ID}"'
    rf'(?:,"segment":{_COUNT})?,"version":{_COUNT}\}}'
)
_ENTRY = re.compile(
    (
        rf'\{{(?:"accesses":\[{_ONE}(?:,{_ONE}){{0,{schema.MAX_INLINE - 1}}}\],)?'
        r'"at":"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\.[0-9]{6}Z"'
        r'(?:,"data":\{"row":"[0-9a-f]{64}"\})?'
        rf'(?:,"decision":"{_ID}")?'
        r',"kind":"([a-z]+(?:[.-][a-z]+)*)"'
        rf',"n":({_COUNT}),"nonce":"{_NONCE}"(?:,"on_behalf_of":"{_ID}")?,"outcome":"{_WORD}"'
        rf'(?:,"policy":"sha256:[0-9a-f]{{64}}")?(?:,"principal":"{_ID}")?(?:,"purpose":"{_WORD}")?'
        rf'(?:,"rules":\["{_WORD}"(?:,"{_WORD}"){{0,{schema.MAX_RULES - 1}}}\])?'
        rf',"v":{schema.VERSION},"writer":"([0-9a-f]{{16}})"\}}'
    ).encode()
)
_MAX_KIND = 64


def read(raw: bytes) -> Glance | None:
    """What `parse_entry` would find, for an entry that is recognised; None: ask it."""
    found = _ENTRY.fullmatch(raw)
    if found is None or len(raw) > schema.MAX_ENTRY or len(found[1]) > _MAX_KIND:
        return None
    return Glance(found[1].decode(), int(found[2]), found[3].decode())
