"""`tenure history` and `tenure rollback`: the generations of a tenant's configuration."""

from typing import Annotated, Any

import typer

from tenure.cli.governing import governing
from tenure.cli.manifests import show_changes
from tenure.cli.output import Output
from tenure.client.http import Connection

_PAGE_MAX = 200


@governing
async def history(
    connection: Connection,
    output: Output,
    limit: Annotated[int, typer.Option(min=1, max=_PAGE_MAX, help="How many, newest first.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on where the last page ended.")] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """List what was applied: each change of the configuration, when, by whom, and what it changed."""
    params = {"limit": str(limit), **({} if cursor is None else {"cursor": cursor})}
    page = await connection.call("GET", "/v1/manifests:history", params=params)
    rows = [(one["generation"], one["at"], one["principal"], _what(one)) for one in page["items"]]
    output.table(("generation", "at", "principal", "what"), rows)
    if page["next"] is not None:
        output.line(f"More: --cursor {page['next']}")
    return page


@governing
async def rollback(
    connection: Connection,
    output: Output,
    generation: Annotated[
        int, typer.Argument(min=1, help="Which one is to come back: see 'tenure history'.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare; change nothing.")] = False,
) -> Any:  # noqa: ANN401 - any JSON
    """Bring back the whole configuration of an earlier generation. The result is a new generation."""
    params = {"dry_run": "true"} if dry_run else None
    body = {"generation": generation}
    done = await connection.call("POST", "/v1/manifests:rollback", body, params=params)
    show_changes(output, done)
    return done


def _what(one: dict[str, Any]) -> str:
    counts: dict[str, int] = {}
    for change in one["changes"]:
        counts[change["change"]] = counts.get(change["change"], 0) + 1
    what = ", ".join(f"{count} {change}" for change, count in sorted(counts.items()))
    return f"{what}; as in {one['restored']}" if one["restored"] is not None else what
