"""Re-wrapped headers in the mirror: an old backup put back must still find what a batch meant to outlive it.

A batch gives versions one more slot before it punctures a person's leaf (`governance.rewrap`). A database
copy from before that has headers whose every leaf is gone by now. So the new headers, and the holds whose
leaves are in them, are copied to where a restore does not reach, before the swap; and start-up puts them back
before anything judges those versions. There is no plaintext in a header, and leaf numbers are pseudonyms.
Those of a released hold are harmless: the leaf in them is punctured.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from tenure.errors import Tampered
from tenure.governance import derived
from tenure.governance.ground import Ground
from tenure.governance.rewrap import Touched
from tenure.keys import segments
from tenure.keys.seal import added_leaves, same_founding
from tenure.store import cohorts, erasing, holds, records
from tenure.store.erasing import Headed
from tenure.store.holds import RELEASED, Hold
from tenure.store.records import Place, StoredVersion
from tenure.store.session import Tx
from tenure.store.shreds import Kind

_CHUNK = 500
_AGAIN, _KEPT = "held", "kept"


def keep(ground: Ground, op_id: str, touched: Touched) -> None:
    """Copy every re-wrapped header of these people and cohorts to the mirror, durably. Safe to repeat."""
    for tenant_id, all_of_them in touched.items():
        for at, whose in enumerate(all_of_them):
            query: erasing.HeaderQuery = partial(erasing.headers_of, subject_id=whose.target)
            if whose.kind == Kind.COHORT:
                query = partial(cohorts.headers_of, cohort_id=whose.target)
            _copy(ground, tenant_id, f"{op_id}/{tenant_id}/{at:06d}", query)


def keep_again(ground: Ground, op_id: str, tenant_ids: Sequence[str]) -> None:
    """After a loss of the mirror: copy what holds and scopes keep, under the newest batch."""
    for tenant_id in tenant_ids:
        _copy(ground, tenant_id, f"{op_id}/{tenant_id}/{_AGAIN}", holds.headers)
        scopes = sorted(derived.keeping(ground.database.read(tenant_id, derived.rules)))
        if scopes:
            kept = partial(erasing.headers_in, scopes=scopes)
            _copy(ground, tenant_id, f"{op_id}/{tenant_id}/{_KEPT}", kept)


def put_back(ground: Ground, op_id: str, tenant_id: str) -> None:
    """Give a restored database the headers that a batch made, and the holds that they are for.

    Versions that it does not have, or no longer, are passed over. Tampered when a header is of another one.
    """
    for name in ground.mirror.rewrapped_names(op_id, tenant_id):
        content = ground.mirror.rewrapped(name)
        ground.database.write(tenant_id, partial(_put_back, content=content))


def _copy(ground: Ground, tenant_id: str, name: str, query: erasing.HeaderQuery) -> None:
    for at, page in enumerate(_pages(ground, tenant_id, query)):
        made = [one for one in page if added_leaves(one.header)]
        if made:
            leaves = {leaf for one in made for slot in added_leaves(one.header) for leaf in slot}
            known = ground.database.read(tenant_id, holds.every)
            mine = [hold for hold in known if hold.leaf in leaves and hold.state != RELEASED]
            ground.mirror.put_rewrapped(f"{name}-{at:06d}", _encoded(made, mine))


def _pages(ground: Ground, tenant_id: str, query: erasing.HeaderQuery) -> Iterator[list[Headed]]:
    after: Place | None = None
    while True:
        page = ground.database.read(tenant_id, partial(query, limit=_CHUNK, after=after))
        yield page
        if len(page) < _CHUNK:
            return
        after = (page[-1].record_id, page[-1].version)


def _encoded(made: Sequence[Headed], mine: Sequence[Hold]) -> dict[str, Any]:
    return {
        "holds": [hold._asdict() for hold in mine],
        "versions": [[one.record_id, one.version, _text(one.header), _headers(one)] for one in made],
    }


def _headers(one: Headed) -> list[str | None]:
    """Of each segment, in its place; None where one is gone."""
    sealed = segments.decode(one.segments) if one.segments is not None else []
    return [_text(each.header) if each else None for each in sealed]


def _text(header: bytes) -> str:
    return b64encode(header).decode()


def _put_back(tx: Tx, content: dict[str, Any]) -> None:
    if not tx.exists:
        return  # a tenant from after the backup
    for given in content["holds"]:
        if holds.get(tx, given["id"]) is None:
            holds.create(tx, Hold(**given))
    by_leaf = {hold.leaf: hold for hold in holds.every(tx) if hold.state != RELEASED}
    places = [(record_id, version) for record_id, version, *_ in content["versions"]]
    old = {one.place: one for one in records.by_ids(tx, places)}
    for record_id, version, header, parts in content["versions"]:
        stored = old.get((record_id, version))
        if stored is None or stored.header is None:
            continue
        stored = stored._replace(header=_replaced(stored.header, header), content=_segments(stored, parts))
        erasing.rewrap(tx, stored)
        for slot in added_leaves(stored.header or b""):
            for leaf in slot:
                if leaf in by_leaf:
                    holds.keep(tx, by_leaf[leaf].id, record_id, version)


def _segments(stored: StoredVersion, parts: Sequence[str | None]) -> bytes | None:
    """The content with its segments' headers replaced; a segment that either does not have stays as it is."""
    if not stored.segments:
        return stored.content
    sealed = segments.decode(stored.content or b"")
    return segments.encode(
        one._replace(header=_replaced(one.header, given)) if one and given else one
        for one, given in zip(sealed, parts, strict=True)
    )


def _replaced(old: bytes, text: str) -> bytes:
    header = b64decode(text)
    if not same_founding(old, header):
        raise Tampered(
            "A re-wrapped header in the mirror is not of the version that it names. Nothing was served; "
            "restore the mirror.",
            rule="rewrapped-header",
        )
    return header
