"""What a snapshot reuses of versions of another cohort is stored anew with it: those may go before it does.

So all values of a snapshot lie in its own cohort, and are there for as long as it is. This is seldom: when
another period of retention begins (`model.cohorts`).
"""

import base64
import json
from collections.abc import Mapping

from tenure.crew import Desk
from tenure.errors import Tampered
from tenure.model.thread import Scalar, Slice
from tenure.sealing import open_content, unseal
from tenure.store import records
from tenure.store.records import StoredVersion
from tenure.thawing import require, warm
from tenure.threads.reading import opened


def stay(
    desk: Desk,
    key_index: str,
    key: str,
    number: int,
    channels: Mapping[str, tuple[Scalar, str, list[Slice]]],
    parts: list[dict[str, str]],
) -> None:
    """Move what lies in other versions than this `number` into its own `parts`. Cold when it is in a pack.

    One round trip, none when there is nothing. Nobody is given any of it, so it is no access.
    """
    elsewhere = sorted({one[0] for _, _, slices in channels.values() for one in slices} - {number})
    if not elsewhere:
        return
    rows = desk.tx.ask((records.NUMBERED, {"key_index": key_index, "numbers": elsewhere}))[0]
    found = {one.version: one for one in map(StoredVersion._make, rows)}
    require(desk.tx.tenant_id, found.values(), desk.thawed)
    lie = {of: _parts(desk, stored, key) for of, stored in found.items()}
    for name, (_, _, slices) in channels.items():
        for place, (of, part, start, length) in enumerate(slices):
            if of == number:
                continue
            try:
                piece = lie[of][part][start : start + length]
            except (KeyError, IndexError):
                raise Tampered("A part of a snapshot is missing; nothing was stored.") from None
            slices[place] = [number, len(parts), 0, length]
            parts.append({"channel": name, "base64": base64.b64encode(piece).decode()})


def _parts(desk: Desk, stored: StoredVersion, key: str) -> list[bytes]:
    opened(desk, stored, key)
    key_ = unseal(desk.tx, desk.tenancy.keys, stored)
    content = open_content(key_, warm(desk.tx.tenant_id, stored, desk.thawed))
    return [base64.b64decode(one["base64"]) for one in json.loads(content)["parts"]]
