"""`tenure event`: what happened to a person, for rules of retention that begin with it."""

from typing import Annotated, Any

import typer

from tenure.cli.governing import governing
from tenure.cli.output import Output
from tenure.client.http import Connection


@governing
async def event(
    connection: Connection,
    output: Output,
    scope: Annotated[str, typer.Argument(metavar="SCOPE", help="Where it counts.")],
    name: Annotated[str, typer.Argument(metavar="EVENT", help="Its name in a Retention manifest.")],
    subject: Annotated[str, typer.Option(metavar="SUBJECT_REF", help="The person, such as customer:42.")],
    purpose: Annotated[str, typer.Option(metavar="PURPOSE", help="What for.")],
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When, such as 2026-01-31T12:00:00Z; now if left out.")
    ] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """Tell of something that happened to a person. Of one event in a scope the latest time is kept."""
    body = {"scope": scope, "event": name, "subject": subject, **({} if at is None else {"at": at})}
    told = await connection.call("POST", "/v1/events", body, headers={"Tenure-Purpose": purpose})
    output.line(f"{told['event']} in {told['scope']}: {told['at']}")
    if not told["changed"]:
        output.line("That was known already, or a later time; nothing changed.")
    return told
