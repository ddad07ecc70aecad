"""What a carried-out request did not reach, and why: what holds, rules and people kept."""

from typing import Any

from tenure.model.rightsrequest import RightsRequest

_NOT = {
    "not-found": "no such record is there now: nothing was corrected",
    "about-others": "the record does not name this person: nothing was corrected",
    "has-segments": "the record has segments: its application corrects it",
}


def of(request: RightsRequest) -> list[dict[str, Any]]:
    """`[{"ground","what",…}]`, for the certificate; empty: all of it was done."""
    steps = request.steps
    found: list[dict[str, Any]] = []
    keys = steps.get("keys", {})
    found += [
        {"ground": "hold", "hold": hold, "why": why, "what": "kept, unreadable, until the hold is released"}
        for hold, why in sorted(keys.get("holds", {}).items())
    ]
    found += [
        {"ground": "derived", "why": one["ground"], "scope": one["scope"], "versions": one["versions"]}
        for one in keys.get("derived", {}).get("kept", ())
    ]
    residue = steps.get("residue", {})
    if residue.get("verdict") not in (None, "clean", "not-searched"):
        found.append({"ground": "residue", "why": residue["verdict"], "what": "accepted by an officer"})
    found += [
        {
            "ground": one["outcome"],
            **({"record": one["record"]} if "record" in one else {}),
            "what": _NOT[one["outcome"]],
        }
        for one in steps.get("records", {}).get("records", ())
        if one["outcome"] in _NOT
    ]
    dead = steps.get("notices", {}).get("dead", 0)
    if dead:
        found.append({"ground": "recipients", "notices": dead, "what": "not taken by who was to be told"})
    return found
