"""The signed statement of an executed erasure: what was done, what it proves, what it does not."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tenure import ids
from tenure.keys.rootstore import Capabilities, Destruction
from tenure.ledger.certificate import KIND, VERSION, issue_certificate
from tenure.ledger.note import Signer
from tenure.store.shreds import Kind, Shred

PROVES = (
    "This data subject's key leaf was punctured; the new key state was verified from its mirrored copy.",
    "Every root key version that opens an older key state was destroyed, in the words of `keys.guarantee`.",
    "Ciphertext that only this subject's key opened was purged from the database after that.",
)
OF_COHORT = (
    "The leaf of this cohort was punctured; the new key state was verified from its mirrored copy.",
    PROVES[1],
    "Ciphertext that no other key opens was purged from the database after that.",
)
DOES_NOT_PROVE = (
    "That nobody copied plaintext while reading it was allowed; the ledger names those reads.",
    "Anything about what was derived from this person's records and names other people, or no sources.",
    "Anything about the versions under `derived.kept`: on the ground given there they stay readable.",
    "Anything about copies that applications made outside Tenure.",
    "That no backup of the database holds ciphertext; what it may hold opens with no key that is left.",
    "That nobody copied the root key before; and destruction itself is the root store's own statement.",
)
FILES = {
    "sqlite": "Purged pages are overwritten (secure_delete); older copies of them leave the write-ahead log "
    "with the checkpoint that follows the batch. What is in them opens with no key that is left.",
    "postgresql": "Purged row versions leave the files with VACUUM, and the write-ahead log as it is "
    "recycled; archives keep theirs. What is in them opens with no key that is left.",
}
OBJECTS = {
    False: "No pack in the object store has any of what was purged; a tenant's packs are deleted with it.",
    True: "Packs in the object store have ciphertext of {} of the versions. It opens with no key that is "
    "left. A pack is deleted when nobody is left in it, and made anew without the dead when half of it is.",
}
LOCKED = (
    " What was deleted there is under Object Lock and only hidden until its lock is over: by the setting of "
    "that day, no later than {} days after it was put."
)
_UNLABELLED = {
    False: "Anything about free text on the person in records that do not carry the person as a subject.",
    True: "Anything about free text on the person, in records that do not carry the person as a subject, in "
    "other words than were searched for.",
}


class Evidence(NamedTuple):
    """What a certificate states; `at` in microseconds.

    The erasure is purged, names its certificate, and has what is `stated` of the keys among its findings.
    """

    tenant_id: str
    shred: Shred
    at: int


def stated(
    capabilities: Capabilities, destroyed: Mapping[int, Destruction], lock_days: int | None = None
) -> dict[str, Any]:
    """What was done to the keys, for the findings of an erasure: kept until its certificate is signed.

    `lock_days`: for how long objects are locked in their bucket; None: they are not.
    """
    return {
        **({"lock_days": lock_days} if lock_days else {}),
        "keys": {
            "provider": capabilities.provider,
            "guarantee": capabilities.guarantee,
            "root_versions_destroyed": [
                {
                    "version": version,
                    "unusable_at": ids.rfc3339(one.unusable_at),
                    "irrecoverable_at": ids.rfc3339(one.irrecoverable_at),
                    "evidence": dict(one.evidence),
                }
                for version, one in sorted(destroyed.items())
            ],
        },
    }


def irrecoverable_at(keys: Mapping[str, Any]) -> str | None:
    """When the last of the destroyed roots is beyond recovery, of what is `stated`; None without any."""
    return max((str(one["irrecoverable_at"]) for one in keys["root_versions_destroyed"]), default=None)


def objects_of(findings: Mapping[str, Any]) -> str:
    """What the object store has of what was purged, in words."""
    packed, days = findings.get("packed", 0), findings.get("lock_days")
    return OBJECTS[bool(packed)].format(packed) + (LOCKED.format(days) if days else "")


def issue(signer: Signer, evidence: Evidence) -> str:
    """Sign the certificate of one erasure: a DSSE envelope as JSON text. Names no personal data."""
    return issue_certificate(_payload(signer.name, evidence), signer)


def _payload(origin: str, evidence: Evidence) -> dict[str, Any]:
    shred, findings = evidence.shred, evidence.shred.findings
    keys, at = findings["keys"], ids.rfc3339(evidence.at)
    latest = irrecoverable_at(keys) or at
    return {
        "v": VERSION,
        "kind": KIND,
        "id": shred.certificate_id,
        "tenant": evidence.tenant_id,
        "origin": origin,
        "shred": shred.id,
        shred.kind: shred.target_id,
        "issued_at": at,
        "irrecoverable_at": latest,
        "steps": [
            {"step": step, "at": at}
            for step, at in sorted(shred.steps.items(), key=lambda item: str(item[1]))
        ],
        "keys": keys,
        "stores": {
            "database": {
                "versions_purged": findings["purged"],
                "versions_kept_for_others": findings["kept"],
                "versions_kept_for_holds": findings["held"],
                "segments_purged_from_kept_versions": findings["segments"],
            },
            "database_files": FILES[findings["database"]],
            "objects": objects_of(findings),
        },
        "residue": {
            "read_back": findings["remnants"],
            "searched_for_values": findings.get("scan", "not asked for"),
        },
        **({"derived": findings["derived"]} if "derived" in findings else {}),
        **({"ledger_handed_over": findings["logs"]} if findings.get("logs") else {}),
        **({"retention": findings["retention"]} if "retention" in findings else {}),
        **({"holds": findings["holds"]} if findings.get("holds") else {}),
        "proves": list(OF_COHORT if shred.kind == Kind.COHORT else PROVES),
        "does_not_prove": [_UNLABELLED["scan" in findings], *DOES_NOT_PROVE],
        "entry": findings["entry"],
    }
