"""What a decision saw, told again: its accesses from the log, each with the content behind its commitment.

A version that was written again since, after a restore, is not what was seen: it shows as lost.
"""

import hmac
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tenure.access import Caller
from tenure.errors import Conflict, Erased, NotFound
from tenure.ids import parse_rfc3339, rfc3339
from tenure.keyring import TenantKeyring
from tenure.ledger.commitment import commitment
from tenure.ledger.entry import Access, Action, Kind, accesses_of, parse_access_list, parse_entry
from tenure.model.decision import Decision
from tenure.release import release, release_segment
from tenure.sealing import labels_of, open_content, open_head, open_segments, unseal
from tenure.store import log, records
from tenure.store.records import StoredVersion
from tenure.store.session import Tx
from tenure.thawing import warm


class Chosen(NamedTuple):
    """Which accesses of a decision are meant: those of these entries, to these records; empty is all."""

    entries: frozenset[str] = frozenset()
    """Ids of entries, `writer-n`."""
    records: frozenset[str] = frozenset()


EVERY = Chosen()


def opened_item(
    caller: Caller, decision: Decision, access: Access, stored: StoredVersion, nonce: bytes, *, openings: bool
) -> tuple[dict[str, Any], Access]:
    """One reconstructed item, and the access that it is."""
    desk = caller.desk
    item: dict[str, Any] = {
        "record": stored.record_id,
        "version": stored.version,
        "version_id": stored.version_id,
        "scope": stored.scope,
        "action": access.action.value,
        "state": stored.state,
    }
    if stored.restricted_since is not None:  # it was corrected since, and this is what was seen
        item["restricted_since"] = rfc3339(stored.restricted_since)
    try:
        opened = unseal(desk.tx, desk.tenancy.keys, stored)
    except Erased as gone:
        tombstone = item | {"state": "erased", "certificate": gone.certificate}
        return tombstone, Access(stored.record_id, stored.version, Action.WITHHELD)
    head = open_head(desk.tenancy.keys, opened, stored)
    gone_since = lost(access), Access(stored.record_id, stored.version, Action.WITHHELD)
    if (access.segment is not None) != bool(head.slots):
        return gone_since
    if access.segment is not None:
        warmed = warm(desk.tx.tenant_id, stored, desk.thawed)
        segments = open_segments(desk.tx, desk.tenancy.keys, warmed, head)
        if access.segment >= len(segments):
            return gone_since
        segment = segments[access.segment]
        item["segment"] = access.segment
        shown, seen = release_segment(caller, stored, access.segment, segment, nonce=nonce)
        if segment.opened is None:
            return item | {"state": "erased", "certificate": shown.certificate}, seen
        opened, content, subjects = segment.opened, segment.content, shown.subjects
    else:
        released = release(caller, stored, opened, head, nonce=nonce)
        (seen,), content, subjects = released.accesses, released.content or b"", head.subjects
    entry_nonce = access.entry or b""
    salt = opened.opening_salt(entry_nonce, stored.record_id, stored.version)
    if not _is_what_was_seen(desk.tx.tenant_id, decision.id, access, salt, content):
        return gone_since
    if openings:
        item |= {
            "entry_nonce": b64encode(entry_nonce).decode(),
            "salt": b64encode(salt).decode(),
            "decision": decision.id,
            "tenant": desk.tx.tenant_id,
            "commitment": access.commitment.hex() if access.commitment else None,
        }
    else:
        item |= {"key": head.key, "subjects": list(subjects), "categories": list(labels_of(stored))}
    return item | {"content": json.loads(content)}, seen


def _is_what_was_seen(
    tenant_id: str, decision_id: str, access: Access, salt: bytes | bytearray, content: bytes
) -> bool:
    """Whether the access's commitment is to this content: a version may have been written again since."""
    made = commitment(
        salt,
        tenant=tenant_id,
        decision=decision_id,
        record=access.record,
        version=access.version,
        content=content,
    )
    return hmac.compare_digest(made, access.commitment or b"")


def lost(access: Access) -> dict[str, Any]:
    """An item that the log proves and whose content went with a database that was restored to before it."""
    about = {"record": access.record, "version": access.version, "action": access.action.value}
    return about | {"state": "lost"}


def accesses_of_decision(tx: Tx, decision_id: str, chosen: Chosen = EVERY) -> list[Access]:
    """Every access bound to a decision, each naming the entry it happened in; or the chosen ones."""
    bound = bound_accesses(tx, log.of_decision(tx, decision_id), chosen)
    return [access for _, accesses in bound for access in accesses]


def bound_accesses(
    tx: Tx, entries: Iterable[tuple[str, bytes]], chosen: Chosen = EVERY
) -> Iterator[tuple[int, list[Access]]]:
    """(instant, accesses) of each of a decision's entries, which are given as (kind, raw entry).

    A round trip for each separate list. Conflict when one of these is lost.
    """
    for kind, body in entries:
        if kind in (Kind.DECISION_SEAL, Kind.DECISION_OPEN):
            continue
        entry = parse_entry(body)
        if chosen.entries and f"{entry['writer']}-{entry['n']}" not in chosen.entries:
            continue
        members = entry.get("accesses", [])
        if "accesses_sha256" in entry:
            separate = log.access_list(tx, entry["accesses_sha256"])
            if separate is None:  # it stands in no log, and went with a database that was restored (ADR 15)
                raise Conflict(
                    "A long list of this decision's accesses is lost; what it saw cannot be told in full.",
                    rule="access-list",
                    remedy="The ledger has its digest: a list from elsewhere can be proved by that.",
                )
            members = parse_access_list(separate, entry)
        found = accesses_of(members, entry_nonce=entry["nonce"])
        yield (
            parse_rfc3339(entry["at"]),
            [one for one in found if not chosen.records or one.record in chosen.records],
        )


def is_what_was_seen(tx: Tx, keys: TenantKeyring, decision_id: str, access: Access) -> bool | None:
    """Whether a version that opens now is the one of the access: by the commitment, with its content opened.

    One or two statements. None when its content lies in a pack, and cannot be told without fetching it.
    """
    for stored in records.by_ids(tx, [(access.record, access.version)]):
        if stored.tier == "hot":
            opened = unseal(tx, keys, stored)
            head = open_head(keys, opened, stored)
            if access.segment is None:
                content = open_content(opened, stored)
            else:
                segment = open_segments(tx, keys, stored, head)[access.segment]
                opened, content = segment.opened or opened, segment.content
            salt = opened.opening_salt(access.entry or b"", stored.record_id, stored.version)
            return _is_what_was_seen(tx.tenant_id, decision_id, access, salt, content)
    return None


def no_access() -> NotFound:
    """The error when none of the chosen accesses is there."""
    return NotFound(
        "The decision has no access with content among those; nothing was opened.",
        field="entry",
        rule="an entry or a record of this decision",
        remedy="GET /v1/decisions/{id} lists its accesses.",
    )
