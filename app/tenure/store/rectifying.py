"""Marks of rectifications on versions, and what was derived from them."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import and_, bindparam, select, update

from tenure.store import tables
from tenure.store.records import Place
from tenure.store.session import Tx

_v, _d, _r = tables.versions, tables.lineage, tables.records


def restrict(tx: Tx, place: Place, *, at: int) -> bool:
    """A version is not read any more; False when that was so before."""
    here = (_v.c.tenant_id == tx.tenant_id, _v.c.record_id == place[0], _v.c.version == place[1])
    marked = update(_v).where(*here, _v.c.restricted_since.is_(None)).values(restricted_since=at)
    return tx.execute(marked).rowcount == 1


class Derived(NamedTuple):
    """A version that was derived from another, without what it says. `latest`: of its record."""

    record_id: str
    version: int
    version_id: str
    latest: int
    scope: str
    state: str
    expires_at: int | None
    stale_since: int | None

    @property
    def place(self) -> Place:
        """Which version it is."""
        return self.record_id, self.version

    def is_current(self, now: int) -> bool:
        """Whether its record shows it."""
        alive = self.expires_at is None or self.expires_at > now
        return self.state == "live" and self.version == self.latest and alive


def derived_from(tx: Tx, version_ids: Sequence[str]) -> list[Derived]:
    """Versions that name one of these as what they were derived from, whatever became of them."""
    children = select(_d.c.child_id).where(_d.c.tenant_id == tx.tenant_id, _d.c.parent_id.in_(version_ids))
    query = (
        select(
            _v.c.record_id,
            _v.c.version,
            _v.c.id,
            _r.c.latest,
            _v.c.scope,
            _v.c.state,
            _v.c.expires_at,
            _v.c.stale_since,
        )
        .join(_r, and_(_r.c.tenant_id == _v.c.tenant_id, _r.c.id == _v.c.record_id))
        .where(_v.c.tenant_id == tx.tenant_id, _v.c.id.in_(children))
    )
    return [Derived(*row) for row in tx.execute(query.order_by(_v.c.record_id, _v.c.version))]


def mark_stale(tx: Tx, places: Sequence[Place], *, at: int) -> None:
    """Versions that were derived from what was corrected."""
    if places:
        here = (
            _v.c.tenant_id == tx.tenant_id,
            _v.c.record_id == bindparam("record"),
            _v.c.version == bindparam("number"),
        )
        which = [{"record": record_id, "number": version} for record_id, version in places]
        tx.execute(update(_v).where(*here).values(stale_since=at), which)


def current_of(tx: Tx, version_id: str) -> str | None:
    """The id of the newest version of a version's record, if that can be read now."""
    newest = _v.alias("newest")
    query = (
        select(newest.c.id)
        .select_from(_v)
        .join(_r, and_(_r.c.tenant_id == _v.c.tenant_id, _r.c.id == _v.c.record_id))
        .join(
            newest,
            and_(
                newest.c.tenant_id == _r.c.tenant_id,
                newest.c.record_id == _r.c.id,
                newest.c.version == _r.c.latest,
            ),
        )
        .where(_v.c.tenant_id == tx.tenant_id, _v.c.id == version_id)
        .where(newest.c.state == "live", newest.c.restricted_since.is_(None))
    )
    return tx.execute(query).scalar_one_or_none()
