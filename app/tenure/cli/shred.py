"""`tenure shred`: erase a person, wait for it, keep the certificate."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tenure.cli.governing import governing, segment
from tenure.cli.output import Output
from tenure.client.http import Connection
from tenure.errors import NotFound, NotYet

_POLL_S = 0.2


@governing
async def shred(
    connection: Connection,
    output: Output,
    ref: Annotated[
        str | None, typer.Argument(metavar="[SUBJECT_REF]", help="The person, such as customer:42.")
    ] = None,
    subject_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The person's id instead of the reference.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to keep the certificate.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for it.")] = 120,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> Any:  # noqa: ANN401
    """Erase a person in every copy, with a data protection officer's key. This cannot be undone."""
    if (ref is None) == (subject_id is None):
        raise typer.BadParameter("Name the person by SUBJECT_REF or by --id.")
    if not (yes or output.as_json) and sys.stdin.isatty():
        typer.confirm("Destroy this person's keys, in every copy, for good?", abort=True)
    found = subject_id or await _id_of(connection, ref or "")
    asked = await connection.call("POST", f"/v1/subjects/{segment(found)}:shred")
    done = await finished(connection, asked["shred"], output, seconds=wait)
    envelope = await connection.call("GET", f"/v1/certificates/{done['certificate']}")
    path = out or Path(f"certificate-{done['certificate']}.json")
    path.write_text(json.dumps(envelope) + "\n", "utf-8")
    output.line(f"certificate {path}")
    output.line("Check it anywhere: tenure verify FILE --vkey KEY (the log's key, from an auditor)")
    return {**done, "certificate_file": str(path)}


async def finished(
    connection: Connection, shred_id: str, output: Output, *, seconds: float
) -> dict[str, Any]:
    """Wait for an erasure's certificate, saying each step once. Raises NotYet after `seconds`."""
    said: set[str] = set()
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        state = await connection.call("GET", f"/v1/shreds/{segment(shred_id)}")
        for step, at in sorted(state["steps"].items(), key=lambda item: str(item[1])):
            if step not in said:
                said.add(step)
                output.line(f"{at}  {step}")
        if "certificate" in state:
            return dict(state)
        if loop.time() >= end:
            raise NotYet(
                f"The erasure {shred_id} is under way; it goes on while the service runs.",
                remedy="Ask again with the same command.",
            )
        await asyncio.sleep(_POLL_S)


async def _id_of(connection: Connection, ref: str) -> str:
    items = (await connection.call("POST", "/v1/subjects:lookup", {"ref": ref}))["items"]
    if not items:
        raise NotFound(
            "Nobody is known by this reference, or they are erased already; nothing was done.",
            remedy="Give the person's id with --id to ask about an erasure.",
        )
    return str(items[0]["id"])
