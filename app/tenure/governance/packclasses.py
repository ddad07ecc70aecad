"""Which retention classes the cell's packs may have: those that tenants' Retention manifests ask for."""

import json
from typing import Final

from tenure.cold.classes import RetentionClass, class_of
from tenure.ids import CELL
from tenure.model.retention import RetentionSpec
from tenure.store import manifests, tenants
from tenure.store.database import Database

_STRIDE: Final = 500


def declared_classes(database: Database) -> frozenset[RetentionClass]:
    """Every tenant's, manifest by manifest. What several say of one version together is not looked at.

    Blocking, and O(tenants): for the operator only. Two round trips for each 500 tenants.
    """
    found: set[RetentionClass] = set()
    tenant_ids = database.read(CELL, tenants.all_ids)
    for first in range(0, len(tenant_ids), _STRIDE):
        for rows in database.read_each(tenant_ids[first : first + _STRIDE], manifests.RETENTION):
            found.update(class_of(RetentionSpec.model_validate(json.loads(spec))) for (spec,) in rows)
    return frozenset(found)
