"""`tenure register`: the record of processing activities (GDPR Art. 30), to read, to keep, to hand out."""

from typing import Annotated, Any

import typer

from tenure.cli.governing import governing
from tenure.cli.output import Output
from tenure.cli.papers import Html, Pdf, keep, show
from tenure.client.http import Connection
from tenure.rendering.register import register_paper


@governing
async def register(
    connection: Connection,
    output: Output,
    days: Annotated[int, typer.Option(min=1, max=366, help="Of how many days what was done is told.")] = 30,
    html: Html = None,
    pdf: Pdf = None,
) -> Any:  # noqa: ANN401 - any JSON
    """Show the register of processing (GDPR Art. 30): what is declared, and what was done."""
    found = await connection.call("GET", "/v1/register", params={"days": str(days)}, seconds=None)
    paper = register_paper(found)
    kept = keep(output, paper, html, pdf)
    if not kept:
        show(output, paper)
    return {**found, **kept}
