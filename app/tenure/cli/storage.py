"""`tenure storage` and `tenure cost`: what is stored, what will be, and what it costs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tenure.cli.chart import bars, size
from tenure.cli.files import located, read_files
from tenure.cli.governing import governing
from tenure.cli.output import Output
from tenure.client.http import Connection

_ROWS = 12
_TIERS = ("hot", "cold", "archive")
_ASKED = ("puts", "gets", "restores")
Day = Annotated[str | None, typer.Option(metavar="DAY", help="Day by day: from here on, as 2026-01-31.")]
End = Annotated[str | None, typer.Option(metavar="DAY", help="Day by day: until before this day.")]


@governing
async def storage(
    connection: Connection,
    output: Output,
    since: Day = None,
    until: End = None,
    now: Annotated[bool, typer.Option("--now", help="Counted now, not as of the last count.")] = False,
) -> Any:  # noqa: ANN401 - any JSON
    """Show what is stored by scope and tier; with the operator's key, all tenants together by tier."""
    more = {"now": "true"} if now else {}
    return await show(connection, output, "/v1/storage", since=since, until=until, **more)


async def show(connection: Connection, output: Output, path: str, **params: str | None) -> Any:  # noqa: ANN401 - any JSON
    """What is stored, by the call at a path."""
    given = {name: value for name, value in params.items() if value is not None}
    found = await connection.call("GET", path, params=given, seconds=None)
    rows = [(one["scope"], *_cells(one)) for one in found["items"]]
    rows += [("(all)", *_cells(one)) for one in found["tiers"] if one["versions"] or not rows]
    output.table(("scope", "tier", "versions", "size", *_prices(found, "a month")), rows)
    if found["at"] is not None:
        output.line(f"Counted at {found['at']}.")
    _requests(output, found)
    if found.get("days") is not None:
        days = [(one["day"], [sum(tier["bytes"] for tier in one["tiers"])]) for one in found["days"]]
        bars(output, ("day", "stored"), days)
        if found["gaps"]:
            output.line(f"Not counted on {len(found['gaps'])} of these days.")
    _say(output, found)
    return found


@governing
async def cost(
    connection: Connection,
    output: Output,
    days: Annotated[int, typer.Option(min=1, help="How many days ahead.")] = 365,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            exists=True,
            metavar="FILE|DIR",
            help="Proposed Retention manifests, to be compared.",
        ),
    ] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """Show what will be stored and what it costs, under the retention that holds and under a proposed one."""
    path = "/v1/storage:forecast"
    if file is None:
        found = await connection.call("GET", path, params={"days": str(days)}, seconds=None)
    else:
        texts = read_files(file)
        body = {"files": list(texts.values()), "days": days}
        with located(texts):
            found = await connection.call("POST", path, body, seconds=None)
    courses = [found[name] for name in ("current", "proposed") if found.get(name) is not None]
    names = ("as it is", "proposed")[: len(courses)]
    step = -(-days // _ROWS)
    chosen = sorted({*range(0, days + 1, step), days})
    rows = [(courses[0]["points"][n]["day"], [_whole(one["points"][n]) for one in courses]) for n in chosen]
    bars(output, ("day", *names), rows)
    last = [(name, one["points"][-1], one.get("cost")) for name, one in zip(names, courses, strict=True)]
    priced = _prices(found, f"cost of {days} days")
    columns = ("then", *_TIERS, *priced)
    output.table(
        columns,
        [
            (name, *(size(point[tier]) for tier in _TIERS), *([_money(price)] if priced else []))
            for name, point, price in last
        ],
    )
    _requests(output, found)
    _say(output, found)
    return found


def _requests(output: Output, found: dict[str, Any]) -> None:
    """What was asked of the object store lately, if anything was."""
    asked = found["requests"]
    if not asked["tiers"]:
        return
    output.line(f"Requests to the object store since {asked['since']}:")
    priced = _prices(found, "cost")
    rows = [
        (
            one["tier"],
            *(one[name] for name in _ASKED),
            size(one["retrieved"]),
            *([_money(one.get("cost"))] if priced else []),
        )
        for one in asked["tiers"]
    ]
    output.table(("tier", *_ASKED, "retrieved", *priced), rows)


def _cells(one: dict[str, Any]) -> tuple[object, ...]:
    price = (_money(one["month"]),) if one.get("month") is not None else ()
    return (one["tier"], one["versions"], size(one["bytes"]), *price)


def _whole(point: dict[str, Any]) -> int:
    return sum(point[tier] for tier in _TIERS)


def _prices(found: dict[str, Any], what: str) -> tuple[str, ...]:
    """The column of prices, if there are any."""
    table = found.get("prices")
    return () if table is None else (f"{what} ({table['currency']})",)


def _money(price: str | None) -> str:
    """To the cent; what is less is told in full."""
    if price is None:
        return ""
    cents = f"{float(price):.2f}"
    return price if cents == "0.00" and float(price) else cents


def _say(output: Output, found: dict[str, Any]) -> None:
    for note in found["notes"]:
        output.line(f"note: {note}")
