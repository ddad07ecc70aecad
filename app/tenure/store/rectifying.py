"""Marks of rectifications on versions, and what was derived from them."""

from collections.abc import Sequence

from sqlalchemy import and_, bindparam, select, update

from tenure.store import tables
from tenure.store.records import Place, StoredVersion, every
from tenure.store.session import Tx

_v, _d, _r = tables.versions, tables.lineage, tables.records


def restrict(tx: Tx, place: Place, *, at: int) -> bool:
    """A version is not read any more; False when that was so before."""
    here = (_v.c.tenant_id == tx.tenant_id, _v.c.record_id == place[0], _v.c.version == place[1])
    marked = update(_v).where(*here, _v.c.restricted_since.is_(None)).values(restricted_since=at)
    return tx.execute(marked).rowcount == 1


def derived_from(tx: Tx, version_ids: Sequence[str]) -> list[StoredVersion]:
    """Versions that name one of these as what they were derived from, whatever became of them."""
    child = and_(_d.c.tenant_id == _v.c.tenant_id, _d.c.child_id == _v.c.id)
    query = every(tx).join(_d, child).where(_d.c.parent_id.in_(version_ids)).distinct()
    return [StoredVersion(*row) for row in tx.execute(query.order_by(_r.c.id, _v.c.version))]


def is_marked(one: StoredVersion) -> bool:
    """Whether a version becomes stale with a mark: somebody reads it, and it is not yet."""
    return one.state == "live" and one.stale_since is None


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
