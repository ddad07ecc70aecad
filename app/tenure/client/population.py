"""Fetch a population from a service, page by page, each checked as it comes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tenure.client.http import Connection
from tenure.client.trust import Trust, trust
from tenure.ledger.canonical import canonical
from tenure.ledger.population import PopulationCheck, PopulationReport
from tenure.ledger.selection import Selection

Keep = Callable[[bytes], Any]
"""Takes one line of the population's file, its newline included."""


async def trusted(connection: Connection, vkeys: tuple[str, ...] | list[str]) -> Trust:
    """The keys given, or else the one that the service itself names, which the report then says.

    A key that was replaced since is followed to the present one by the log's `rotations`; then only that one
    counts. Raises `Unverified` when these do not hold.
    """
    if not vkeys:
        return trust((), ((await connection.call("GET", "/v1/ledger/key"))["vkey"],))
    return trust(list(vkeys)).in_force(await connection.call("GET", "/v1/ledger/rotations"))


async def fetch_population(
    connection: Connection,
    selection: Selection,
    keys: Trust,
    *,
    first: int | None = None,
    end: int | None = None,
    keep: Keep | None = None,
) -> PopulationReport:
    """All entries of a range of the caller's log that a filter takes, proven to be all.

    Asks for page after page under one tree head; stops at the first that does not verify, which the report
    names. Raises what the service answers.
    """
    check = PopulationCheck(keys.verifiers, asked=selection, range_asked=(first or 0, end))
    places = {"first": first, "end": end}
    params = selection.members() | {name: str(at) for name, at in places.items() if at is not None}
    following: str | None = None
    while True:
        cursor = {} if following is None else {"cursor": following}
        page = await connection.call("GET", "/v1/ledger/populations", params={**params, **cursor})
        line = canonical(page)
        if keep is not None:
            keep(line + b"\n")
        if not check.see(line):
            break
        following = page["next"]
        if following is None:
            break
    report = check.finish()
    return keys.judge(report, report.witnesses)


async def save_population(
    connection: Connection,
    selection: Selection,
    keys: Trust,
    path: Path,
    *,
    first: int | None = None,
    end: int | None = None,
) -> PopulationReport:
    """The same, kept in a file that `tenure verify` checks offline."""
    with path.open("wb") as out:
        return await fetch_population(connection, selection, keys, first=first, end=end, keep=out.write)
