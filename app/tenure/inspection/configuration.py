"""Who may do what, now: manifests against the newest generation, principals and keys against their entries.

Both decide what is allowed from the next request on, so an edit behind the API gives rights to whoever makes
it. What decides is held against what was decided before anybody could use it.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from sqlalchemy import Table

from tenure.errors import Unverified
from tenure.ids import parse_rfc3339
from tenure.inspection.findings import Finding
from tenure.inspection.view import SKEW_US, View, differing, guarded
from tenure.ledger.entry import Kind, parse_entry
from tenure.model.apikey import config_of
from tenure.model.manifests import Manifest, parse_manifests
from tenure.model.reach import read_reach
from tenure.policy.bundle import load_bundle
from tenure.store import inspecting, log, tables
from tenure.store import manifests as store
from tenure.store.configurations import of_row
from tenure.store.inspecting import Row

_M, _P, _C = tables.manifests, tables.principals, tables.credentials


# ── manifests ──────────────────────────────────────────────────────────────────────────────────────
class Applied(NamedTuple):
    """When a manifest got what it says: generation of the whole, instant, the manifest's own count."""

    applied_in: int
    applied_at: int
    generation: int


def manifests(view: View) -> Iterator[Finding]:
    """The manifests in force are those of the newest generation of the configuration."""
    yield from guarded(view, "manifest", _M, (), _manifests(view))


def _manifests(view: View) -> Iterator[Finding]:
    rows = {(row["kind"], row["name"]): row for row in inspecting.where(view.tx, _M)}
    made = [of_row(dict(row)) for row in inspecting.where(view.tx, tables.configurations)]
    body = store.bundle(view.tx, made[-1].digest) if made else None
    if made and body is None:
        yield view.finding("manifest", _M, (), "", "the bundle of the newest generation is not stored")
        return
    due = {} if body is None else load_bundle(bytes(body)).configuration.manifests
    applied: dict[tuple[str, str], Applied] = {}
    for one in made:
        for kind, name, change in one.changes:
            before = 0 if change == "created" else applied[kind, name].generation
            applied[kind, name] = Applied(one.generation, one.at, before + 1)
    for key in sorted(due.keys() - rows.keys()):
        yield view.finding("manifest", _M, key, "", "the newest generation has it, and it is not there")
    for key, row in rows.items():
        if key not in due:
            yield view.finding("manifest", _M, key, "", "nobody applied it: the newest generation has it not")
            continue
        yield from guarded(view, "manifest", _M, key, _manifest(view, row, due[key], applied[key]))


def _manifest(view: View, row: Row, due: Manifest, applied: Applied) -> Iterator[Finding]:
    whole = {
        "apiVersion": "tenure/v1",
        "kind": row["kind"],
        "metadata": {"name": row["name"]},
        "spec": json.loads(row["spec"]),
    }
    if parse_manifests([whole]) != (due,):
        detail = "it says something else than was applied"
        yield view.finding("manifest", _M, (row["kind"], row["name"]), "spec", detail)
    yield from differing(view, "manifest", _M, row, **applied._asdict())


# ── principals ─────────────────────────────────────────────────────────────────────────────────────
class Said(NamedTuple):
    """What an entry says of a principal."""

    at: int
    entry: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        """Its members."""
        return dict(self.entry["data"])


Look = Callable[[View, Row, list[Said]], Iterator[Finding]]


def principals(view: View) -> Iterator[Finding]:
    """Every principal has the kind, roles and state that entries gave it, and none of theirs is missing."""
    return _against_entries(view, "principal", _P, _principal)


def _against_entries(view: View, member: str, table: Table, look: Look) -> Iterator[Finding]:
    """Each row against what entries say of its id, under this member of theirs; and none without its row."""
    if not view.lives:
        return
    said = _said(view, member)
    rows = {row["id"]: row for row in inspecting.where(view.tx, table)}
    for missing in sorted(said.keys() - rows.keys()):
        yield view.finding(member, table, (missing,), "", "an entry made it, and it is not there")
    for key, row in rows.items():
        yield from guarded(view, member, table, (key,), look(view, row, said.get(key, [])))


def _said(view: View, member: str) -> dict[str, list[Said]]:
    """Id under a member of `data` → what entries say of it, by time; not what a restored database lost."""
    found: dict[str, list[Said]] = {}
    opened = log.bodies(view.tx, 1, 0, 1) or inspecting.acts(view.tx, Kind.LOG_OPEN)
    for body in [bytes(one) for one in opened] + inspecting.principal_changes(view.tx):
        with suppress(Unverified):  # the section on entries says so
            entry = parse_entry(body)
            about = entry.get("data", {}).get(member)
            if about is not None and not view.is_put_back(entry["writer"], entry["n"]):
                found.setdefault(about, []).append(Said(parse_rfc3339(entry["at"]), entry))
    return found


def _principal(view: View, row: Row, said: list[Said]) -> Iterator[Finding]:
    key = (row["id"],)
    made = [one for one in said if "principal_kind" in one.data]
    if len(made) != 1:
        yield view.finding("principal", _P, key, "", "no entry, or more than one, says that it was created")
        return
    yield from differing(view, "principal", _P, row, kind=made[0].data["principal_kind"])
    if not view.happened(made[0].entry, row["created_at"]):
        yield view.finding("principal", _P, key, "created_at", "its entry says another time")
    given = [json.dumps(one.data["roles"]) for one in _last(one for one in said if "roles" in one.data)]
    if row["roles"] not in given:
        yield view.finding("principal", _P, key, "roles", "they are not those that it was given last")
    switched = _last(one for one in said if one.data.get("change") in ("disabled", "enabled"))
    if not switched and row["disabled_at"] is not None:
        yield view.finding("principal", _P, key, "disabled_at", "no entry says that it was switched off")
    if switched and not any(_is_switched(view, row, one) for one in switched):
        yield view.finding("principal", _P, key, "disabled_at", "it was switched on or off otherwise")


# ── credentials ────────────────────────────────────────────────────────────────────────────────────
def credentials(view: View) -> Iterator[Finding]:
    """Every API key is one that an entry gave to its principal, as given, and revoked as entries say."""
    return _against_entries(view, "credential", _C, _credential)


def _credential(view: View, row: Row, said: list[Said]) -> Iterator[Finding]:
    key = (row["id"],)
    made = [one for one in said if "config" in one.data]
    if len(made) != 1:
        yield view.finding("credential", _C, key, "", "no entry, or more than one, says that it was given")
        return
    yield from differing(view, "credential", _C, row, principal_id=made[0].data["principal"])
    reach = read_reach(row["reach"])
    kept = None if reach is None else reach.stored()
    config = config_of(row["secret_hash"], row["expires_at"], reach)
    if (kept, config) != (row["reach"], made[0].data["config"]):
        detail = "secret, end or reach are not those that were given"
        yield view.finding("credential", _C, key, "secret_hash", detail)
    if not view.happened(made[0].entry, row["created_at"]):
        yield view.finding("credential", _C, key, "created_at", "its entry says another time")
    revoked = [one for one in said if one.data.get("change") == "credential-revoked"]
    if not revoked:
        if row["revoked_at"] is not None and not view.erasing:  # whoever leaves has all revoked
            yield view.finding("credential", _C, key, "revoked_at", "no entry says that it was revoked")
    elif row["revoked_at"] is None or not view.happened(revoked[0].entry, row["revoked_at"]):
        yield view.finding("credential", _C, key, "revoked_at", "it was revoked, at the time of its entry")


def _is_switched(view: View, row: Row, said: Said) -> bool:
    if said.data["change"] == "enabled":
        return row["disabled_at"] is None
    return row["disabled_at"] is not None and view.happened(said.entry, row["disabled_at"])


def _last(said: Iterator[Said]) -> list[Said]:
    """The last of them; those as well that another process's clock may have put before what came earlier."""
    found = list(said)
    return [one for one in found if one.at >= found[-1].at - SKEW_US and _other(one, found[-1])]


def _other(one: Said, last: Said) -> bool:
    """Whether which of the two came first cannot be told by their numbers."""
    return one is last or one.entry["writer"] != last.entry["writer"]
