"""`tenure shred`: erase a person, wait for it, keep the certificate; follow erasures; look before one."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tenure.cli.governing import governing, segment
from tenure.cli.output import Output
from tenure.cli.scanning import search, values_in
from tenure.client.http import Connection
from tenure.errors import NotFound, NotYet

_POLL_S = 0.2
_PERSON = "person"
_AWAITING = "awaiting-scan"
_PAGE = "20"
_MORE = ("ledger", "handed_over", "certificate", "irrecoverable_at", "waits_for")


class _PersonOrVerb(TyperGroup):
    """`tenure shred customer:42` is `tenure shred person customer:42`: a reference has a colon."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's own context
        """Put the verb in front, unless there is one or help is asked for."""
        if not args or args[0] not in (*self.commands, "--help"):
            args = [_PERSON, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_PersonOrVerb,
    help="Erase a person: tenure shred customer:42. Options: tenure shred person --help. Or follow erasures.",
)

_Ref = Annotated[str | None, typer.Argument(metavar="[SUBJECT_REF]", help="The person, such as customer:42.")]
_Id = Annotated[
    str | None, typer.Option("--id", metavar="ID", help="The person's id instead of the reference.")
]


@app.command(_PERSON)
@governing
async def shred(
    connection: Connection,
    output: Output,
    ref: _Ref = None,
    subject_id: _Id = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to keep the certificate.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for it.")] = 120,
    scan: Annotated[
        Path | None,
        typer.Option(
            "--scan",
            metavar="FILE",
            help="Search everything for these values too, one a line; the certificate tells how that went.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> Any:  # noqa: ANN401 - any JSON
    """Erase a person in every copy, with a data protection officer's key. This cannot be undone."""
    _one_name(ref, subject_id)
    if not (yes or output.as_json) and sys.stdin.isatty():
        typer.confirm("Destroy this person's keys, in every copy, for good?", abort=True)
    values = None if scan is None else values_in(scan)
    found = subject_id or await _id_of(connection, ref or "")
    query = {"scan": "true"} if values else {}
    asked = await connection.call("POST", f"/v1/subjects/{segment(found)}:shred", params=query)
    done = await finished(connection, asked["shred"], output, seconds=wait)
    if done["state"] == _AWAITING:
        if not values:
            raise NotYet(
                "The erasure was asked for with a search, and its certificate waits for that.",
                remedy=f"Search: tenure shred scan {asked['shred']} --values FILE",
            )
        await search(connection, output, asked["shred"], values, accept=False)
        done = await finished(connection, asked["shred"], output, seconds=wait)
    return await _kept(connection, output, done, out)


@app.command("scan")
@governing
async def scan_again(
    connection: Connection,
    output: Output,
    shred_id: Annotated[str, typer.Argument(metavar="SHRED_ID", help="The erasure.")],
    values: Annotated[
        Path,
        typer.Option("--values", metavar="FILE", help="What to look for, one value a line; - for stdin."),
    ],
    accept: Annotated[
        bool, typer.Option("--accept", help="Certify the erasure whatever is found; the certificate says it.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to keep the certificate.")
    ] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """Search everything that can still be opened for words of an erased person. 1: not certified yet."""
    await search(connection, output, shred_id, values_in(values), accept=accept)
    done = await connection.call("GET", f"/v1/shreds/{segment(shred_id)}")
    return await _kept(connection, output, done, out)


async def _kept(connection: Connection, output: Output, done: dict[str, Any], out: Path | None) -> Any:  # noqa: ANN401 - any JSON
    envelope = await connection.call("GET", f"/v1/certificates/{done['certificate']}")
    path = out or Path(f"certificate-{done['certificate']}.json")
    path.write_text(json.dumps(envelope) + "\n", "utf-8")
    output.line(f"certificate {path}")
    output.line("Check it anywhere: tenure verify FILE --vkey KEY (the log's key, from an auditor)")
    return {**done, "certificate_file": str(path)}


@app.command()
@governing
async def status(
    connection: Connection,
    output: Output,
    shred_id: Annotated[
        str | None, typer.Argument(metavar="[SHRED_ID]", help="One erasure. Left out: the newest ones.")
    ] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """Show an erasure, its steps and what it waits for; or the newest erasures."""
    if shred_id is None:
        page = await connection.call("GET", "/v1/shreds", params={"limit": _PAGE})
        rows = [(one["shred"], one["kind"], one["state"], one["requested_at"]) for one in page["items"]]
        output.table(("erasure", "of", "state", "requested"), rows)
        if page["next"] is not None:
            output.line("There are older ones: GET /v1/shreds gives every page.")
        return page
    one = await connection.call("GET", f"/v1/shreds/{segment(shred_id)}")
    follow(output, one)
    return one


@app.command()
@governing
async def impact(connection: Connection, output: Output, ref: _Ref = None, subject_id: _Id = None) -> Any:  # noqa: ANN401 - any JSON
    """Show what an erasure would do. Nothing is done."""
    _one_name(ref, subject_id)
    found = subject_id or await _id_of(connection, ref or "")
    would = await connection.call("GET", f"/v1/subjects/{segment(found)}/impact")
    counts = [(name, value) for name, value in would.items() if isinstance(value, int | str)]
    output.table(("", ""), counts)
    if would["holds"]:
        rows = [(one["id"], one["by"], one["ground"]) for one in would["holds"]]
        output.table(("hold", "by", "ground"), rows, title="Kept, unreadable, by")
    return would


def follow(output: Output, one: dict[str, Any]) -> None:
    """An erasure for people: what it is of, its steps in their order, what it waits for."""
    kind = str(one["kind"])
    rows = [("erasure", one["shred"]), (kind, one[kind]), ("state", one["state"])]
    more = [(name, one[name]) for name in _MORE if name in one]
    output.table(("", ""), [*rows, *more])
    steps(output, one["steps"], set())


def steps(output: Output, reached: dict[str, Any], said: set[str]) -> None:
    """Say each step once, in the order of their times."""
    for step, at in sorted(reached.items(), key=lambda item: str(item[1])):
        if step not in said:
            said.add(step)
            output.line(f"{at}  {step}")


async def finished(
    connection: Connection, shred_id: str, output: Output, *, seconds: float
) -> dict[str, Any]:
    """Wait for an erasure's certificate, or for all that comes before a search, saying each step once.

    Raises NotYet after `seconds`.
    """
    said: set[str] = set()
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        state = await connection.call("GET", f"/v1/shreds/{segment(shred_id)}")
        steps(output, state["steps"], said)
        if "certificate" in state or state["state"] == _AWAITING:
            return dict(state)
        if loop.time() >= end:
            raise NotYet(
                f"The erasure {shred_id} is under way; it goes on while the service runs.",
                remedy=f"Ask again with the same command, or look: tenure shred status {shred_id}",
            )
        await asyncio.sleep(_POLL_S)


def _one_name(ref: str | None, subject_id: str | None) -> None:
    if (ref is None) == (subject_id is None):
        raise typer.BadParameter("Name the person by SUBJECT_REF or by --id.")


async def _id_of(connection: Connection, ref: str) -> str:
    items = (await connection.call("POST", "/v1/subjects:lookup", {"ref": ref}))["items"]
    if not items:
        raise NotFound(
            "Nobody is known by this reference, or they are erased already; nothing was done.",
            remedy="Give the person's id with --id to ask about an erasure.",
        )
    return str(items[0]["id"])
