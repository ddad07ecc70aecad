"""What `tenure apply --dry-run --what-if DAYS` shows: recorded accesses that would come out differently."""

from typing import Any

from tenure.cli.output import Output

_ANSWER = {True: "allowed", False: "denied"}
_STOPPED = {
    "limit": "It stopped there: that many entries are looked at in one go.",
    "generation": "The log begins there anew; entries of before a restore were not looked at.",
}


def show_what_if(output: Output, found: dict[str, Any]) -> None:
    """The groups as a table, then what was looked at."""
    rows = [
        (
            one["count"],
            f"{_ANSWER[one['was']]} → {_ANSWER[one['becomes']]}",
            ", ".join(one["roles"]),
            one["scope"],
            ", ".join(one["categories"]) or "anything",
            one["purpose"],
            one["action"],
            one["examples"][0],
        )
        for one in found["groups"]
    ]
    if rows:
        columns = ("times", "change", "roles", "scope", "categories", "purpose", "action", "for example")
        output.table(columns, rows)
    output.line(
        f"Of {found['accesses']} accesses {found['denied']} would be denied and {found['allowed']} allowed;"
        f" {found['unknown']} can no longer be judged."
    )
    if found["groups_left_out"]:
        output.line(f"{found['groups_left_out']} smaller groups are not shown.")
    output.line(f"Looked at entries {found['first']} to {found['end']}, of at most {found['days']} days.")
    if found["stopped"] is not None:
        output.line(_STOPPED[found["stopped"]])
