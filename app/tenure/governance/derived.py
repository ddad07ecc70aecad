"""Derived versions at an erasure: the scope's rule, as it was declared when the batch began, decides.

    shred      they go with the person
    rederive   they go, and the application is asked to derive the current ones again (`governance.rederive`)
    keep       they stay readable, on a recorded ground (`governance.rewrap`)

Versions that name people of their own are theirs and are not touched here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tenure.crew import Desk
from tenure.governance.plan import Rule
from tenure.model.specs import ScopeSpec
from tenure.reading import is_current
from tenure.store import manifests, rederivations
from tenure.store.records import StoredVersion
from tenure.store.session import Tx
from tenure.store.shreds import Shred

SHRED, REDERIVE, KEEP = "shred", "rederive", "keep"
_HOUR = 3_600_000_000
_DEFAULT = Rule(on_erasure=SHRED, ground=None, within_hours=None)
Rules = Mapping[str, Rule]


def rules(tx: Tx) -> dict[str, Rule]:
    """The rules of the transaction's tenant now, by scope, without those that shred."""
    found: dict[str, Rule] = {}
    for scope, spec in manifests.specs(tx, "Scope").items():
        given = ScopeSpec.model_validate(spec).derived
        if given is not None:
            found[scope] = Rule(
                on_erasure=given.on_erasure, ground=given.ground, within_hours=given.within_hours
            )
    return found


def keeping(of: Rules) -> frozenset[str]:
    """The scopes that keep."""
    return frozenset(scope for scope, rule in of.items() if rule["on_erasure"] == KEEP)


def settled(
    desk: Desk,
    shred: Shred,
    of: Rules,
    *,
    dead: int,
    lost: Sequence[StoredVersion],
    kept: Iterable[StoredVersion],
) -> Shred:
    """The erasure with these derived versions in its findings; what is to be derived again is on the list.

    Of `lost`, which nobody can read any more, `dead` are purged and the others only held. In the transaction
    that purges them.
    """
    counts: dict[str, Any] = shred.findings.get("derived") or {
        "shredded": 0,
        "rederivation_asked": 0,
        "kept": [],
    }
    asked = [_asked(desk, shred, of[one.scope], one) for one in lost if _again(desk, of, one)]
    rederivations.create(desk.tx, asked)
    versions = {one["scope"]: int(one["versions"]) for one in counts["kept"]}
    for one in kept:
        versions[one.scope] = versions.get(one.scope, 0) + 1
    counts = {
        "shredded": counts["shredded"] + dead,
        "rederivation_asked": counts["rederivation_asked"] + len(asked),
        "kept": [
            {"scope": scope, "ground": of.get(scope, _DEFAULT)["ground"] or "", "versions": count}
            for scope, count in sorted(versions.items())
        ],
    }
    return shred._replace(findings={**shred.findings, "derived": counts})


def _again(desk: Desk, of: Rules, one: StoredVersion) -> bool:
    """Only what its record shows now is derived again: older versions are history, and it is gone."""
    rule = of.get(one.scope, _DEFAULT)["on_erasure"]
    return rule == REDERIVE and one.version == one.latest and is_current(one, desk.now)


def _asked(desk: Desk, shred: Shred, rule: Rule, one: StoredVersion) -> rederivations.Rederivation:
    return rederivations.begun(
        shred_id=shred.id,
        scope=one.scope,
        record_id=one.record_id,
        version=one.version,
        version_id=one.version_id,
        at=desk.now,
        deadline=desk.now + (rule["within_hours"] or 0) * _HOUR,
    )
