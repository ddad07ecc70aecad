"""Which retention class a version's pack has, and which classes the cell's packs have or may have."""

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

from tenure.cold.classes import RetentionClass, class_of
from tenure.ids import CELL
from tenure.model.cohorts import late_hours
from tenure.model.lifetime import HOUR_US, Clocks, lifetime
from tenure.model.retention import RetentionSpec
from tenure.store import manifests, packs, tenants
from tenure.store.database import Database

_STRIDE: Final = 500
KEEP: Final = RetentionClass()


class Ahead(NamedTuple):
    """What rules have in store for versions with the same labels: hours in the database, then a class."""

    hot_hours: int
    retention_class: RetentionClass


def ahead(rules: Mapping[str, RetentionSpec]) -> Ahead | None:
    """When versions under these rules go to packs, and of which class; None when no write clock says so.

    A class counts from when the pack was put, which is never before its versions were due: what lies between
    that and their end by these rules is never too short, with the time by which a cohort may be late. A
    version's own `expires_at` may end it earlier, never later. Where a rule counts from the last access or
    from an event, or has a floor without an end, the class is `keep`: a bucket that deleted by the other
    rules could not take that back.
    """
    found = lifetime(rules, Clocks(written=0))
    by_write = {name: spec for name, spec in rules.items() if spec.clock == "write"}
    cold = lifetime(by_write, Clocks(written=0)).cold
    if cold is None or (found.gone is not None and found.gone.at <= cold.at):
        return None
    hot_hours = cold.at // HOUR_US
    if len(by_write) < len(rules) or found.open:
        return Ahead(hot_hours, KEEP)
    archives = [
        (spec.hot_for or 0) + (spec.cold_for or 0) for spec in rules.values() if spec.archive_for is not None
    ]
    archive = max(min(archives) - hot_hours, 0) if archives else None
    if found.gone is None:
        return Ahead(hot_hours, RetentionClass.of_hours(archive, None))
    left = max(found.gone.at // HOUR_US - hot_hours, 0)
    return Ahead(hot_hours, RetentionClass.of_hours(archive, left + late_hours(rules)))


def declared_classes(database: Database) -> frozenset[RetentionClass]:
    """Those that every tenant's manifests ask for, one by one, and those that packs carry.

    What several manifests say of one version together is known only once something is packed by it.
    Blocking, and O(tenants): for the operator only. Four round trips for each 500 tenants.
    """
    found: set[RetentionClass] = set()
    tenant_ids = database.read(CELL, tenants.all_ids)
    for first in range(0, len(tenant_ids), _STRIDE):
        some = tenant_ids[first : first + _STRIDE]
        for rows in database.read_each(some, manifests.RETENTION):
            found.update(class_of(RetentionSpec.model_validate(json.loads(spec))) for (spec,) in rows)
        for rows in database.read_each(some, packs.TAGS):
            found.update(RetentionClass.parse(tag) for (tag,) in rows)
    return frozenset(found)
