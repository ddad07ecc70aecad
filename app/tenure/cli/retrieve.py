"""`tenure retrieve`: have an archive give out what will be needed, and wait for it."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from tenure.cli.governing import governing, segment
from tenure.cli.output import NO, Output
from tenure.client.http import Connection

_POLL_S = 15.0
_PATH = "/v1/retrievals"


@governing
async def retrieve(
    connection: Connection,
    output: Output,
    scope: Annotated[str, typer.Argument(metavar="SCOPE", help="Of which records.")],
    purpose: Annotated[str, typer.Option(metavar="PURPOSE", help="What they will be read for.")],
    subject: Annotated[
        str | None, typer.Option(metavar="SUBJECT_REF", help="Only about this person, such as customer:42.")
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only records whose keys begin so.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Only this record. May be repeated.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Until all of it can be read, or did not come.")
    ] = False,
) -> Any:  # noqa: ANN401 - any JSON
    """Have an archive give out what will be read soon. Exit code 1 when some of it did not come.

    Nothing of it is shown. Without --wait it is only asked for.
    """
    given = {"scope": scope, "subject": subject, "prefix": prefix, "keys": key}
    made = await _pages(connection, {name: one for name, one in given.items() if one}, purpose)
    found = _together(made)
    _say(output, found)
    if wait and found["state"] == "waiting" and not connection.served:
        # Hours, in which nobody else could open the store; and the job is for whoever serves.
        output.line("It was asked for, but is not waited for: nobody serves this cell. Look again later.")
        output.document(found)
        raise typer.Exit(NO)
    while wait and found["state"] == "waiting":
        await asyncio.sleep(_POLL_S)
        before = found["ready"]
        made = [await _now(connection, one) for one in made]
        found = _together(made)
        if found["ready"] != before or found["state"] != "waiting":
            _say(output, found)
    if found["withheld"]:
        output.line(f"{found['withheld']} more may not be read with this key, and were left where they are.")
    if found["state"] == "failed":
        output.document(found)
        raise typer.Exit(NO)
    return found


async def _pages(connection: Connection, body: dict[str, Any], purpose: str) -> list[dict[str, Any]]:
    """A retrieval for each page of what is selected."""
    made: list[dict[str, Any]] = []
    while not made or made[-1]["next"]:
        more = {"cursor": made[-1]["next"]} if made else {}
        headers = {"Tenure-Purpose": purpose}
        made.append(await connection.call("POST", _PATH, body | more, headers=headers, seconds=None))
    return made


async def _now(connection: Connection, one: Mapping[str, Any]) -> dict[str, Any]:
    """How far one is."""
    if one["state"] != "waiting":
        return dict(one)
    return {**one, **await connection.call("GET", f"{_PATH}/{segment(one['id'])}")}


def _together(made: list[dict[str, Any]]) -> dict[str, Any]:
    """All pages as one; what is withheld was counted with the first."""
    states = {one["state"] for one in made}
    state = next(one for one in ("waiting", "failed", "ready") if one in states)
    sums = {name: sum(one[name] for one in made) for name in ("versions", "packs", "ready")}
    return {"state": state, **sums, "withheld": made[0]["withheld"], "items": made}


def _say(output: Output, found: Mapping[str, Any]) -> None:
    ids = " ".join(one["id"] for one in found["items"] if one["state"] == "waiting")
    packs = f"{found['ready']} of {found['packs']} packs can be read"
    line = f"{found['versions']} versions, {packs}: {found['state']}"
    output.line(f"{line} ({ids})" if ids else line)
    until = min((one["until"] for one in found["items"] if "until" in one), default=None)
    if until is not None and found["state"] == "ready":
        output.line(f"What an archive gave out goes back on {until[:10]} at {until[11:16]} UTC.")
