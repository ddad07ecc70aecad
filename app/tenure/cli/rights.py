"""`tenure request`: what people ask for by law, from receipt to certificate."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tenure.cli.commands import in_commands
from tenure.cli.governing import governing, segment
from tenure.cli.output import Output, wrong_use
from tenure.client.http import Connection
from tenure.model.deadlines import ExtensionReason, PauseReason
from tenure.model.rightsrequest import Ground, Kind, Method, State

app = typer.Typer(
    no_args_is_help=True,
    help="Rights requests: received, scoped, decided by a second person, carried out, certified.",
)
_Id = Annotated[str, typer.Argument(metavar="ID", help="The request's id.")]
_Reference = Annotated[
    str,
    typer.Option(
        "--reference", metavar="REF", help="Under which the person is known. - reads it from stdin."
    ),
]
_COLUMNS = ("id", "type", "state", "due_at", "days_left", "flags", "certificate")
_LINE = ("at", "step", "by")
_DETAIL = ("timeline", "scope", "progress", "held")
_HELD = ("hold", "state", "released_at", "certificate")


@app.command("open")
@governing
async def take_in(
    connection: Connection,
    output: Output,
    request_type: Annotated[Kind, typer.Argument(metavar="TYPE", help="What is asked for.")],
    reference: _Reference,
    received_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it came in; now if left out.")
    ] = None,
    details: Annotated[
        str | None, typer.Option(metavar="TEXT", help="In which words; sealed. - reads stdin.")
    ] = None,
    for_purpose: Annotated[
        list[str] | None,
        typer.Option(metavar="PURPOSE", help="With objection, consent-withdrawal and opt-out. May repeat."),
    ] = None,
    corrections: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='With rectification and correct: a JSON list of {"scope","key","content"}.',
            exists=True,
            dir_okay=False,
        ),
    ] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """Take in a request. Its clock runs from when it came in."""
    if "-" in (reference, details) and reference == details:
        wrong_use(output, "Only one of --reference and --details is read from standard input.")
    body: dict[str, Any] = {"type": request_type.value, "reference": _text(reference)}
    if received_at is not None:
        body["received_at"] = received_at
    if details is not None:
        body["details"] = _text(details)
    if for_purpose:
        body["purposes"] = for_purpose
    if corrections is not None:
        body["corrections"] = _list(output, corrections)
    made = await connection.call("POST", "/v1/requests", body)
    return _show(output, made)


@app.command("list")
@governing
async def every(
    connection: Connection,
    output: Output,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those whose time is over.")] = False,
) -> Any:  # noqa: ANN401 - any JSON
    """List requests, newest first, with their clocks as of now."""
    query = "limit=200" + ("" if state is None else f"&state={state.value}") + ("&overdue=true" * overdue)
    found = await connection.call("GET", f"/v1/requests?{query}")
    items = found["items"]
    while found["next"] is not None:
        found = await connection.call("GET", f"/v1/requests?{query}&cursor={segment(found['next'])}")
        items += found["items"]
    _table(output, items)
    return {"items": items, "next": None}


@app.command()
@governing
async def find(connection: Connection, output: Output, reference: _Reference) -> Any:  # noqa: ANN401 - any JSON
    """List what somebody asked for before."""
    found = await connection.call("POST", "/v1/requests:find", {"reference": _text(reference)})
    _table(output, found["items"])
    if found["not_searched"]:
        output.line(f"{found['not_searched']} requests have had their time: nobody can tell who asked.")
    return found


@app.command()
@governing
async def show(connection: Connection, output: Output, request: _Id) -> Any:  # noqa: ANN401 - any JSON
    """Show a request: its clock, its timeline, what the dry run found, what each step did."""
    return _show(output, await connection.call("GET", f"/v1/requests/{segment(request)}"))


@app.command()
@governing
async def case(connection: Connection, output: Output, request: _Id) -> Any:  # noqa: ANN401 - any JSON
    """Show who asked, and in which words. Looking is on record."""
    found = await connection.call("GET", f"/v1/requests/{segment(request)}/case")
    output.table(("", ""), [(name, _cell(value)) for name, value in found.items()])
    return found


@app.command()
@governing
async def identify(
    connection: Connection,
    output: Output,
    request: _Id,
    method: Annotated[Method, typer.Option(help="How it was established.")],
) -> Any:  # noqa: ANN401 - any JSON
    """Say how it was established who asks."""
    return await _step(connection, output, request, "identify", {"method": method.value})


@app.command()
@governing
async def scope(connection: Connection, output: Output, request: _Id) -> Any:  # noqa: ANN401 - any JSON
    """Look what is held and what would happen. Nothing is done."""
    return await _step(connection, output, request, "scope")


@app.command()
@governing
async def approve(connection: Connection, output: Output, request: _Id) -> Any:  # noqa: ANN401 - any JSON
    """Have a request carried out. Never by whoever opened it."""
    return await _step(connection, output, request, "approve")


@app.command()
@governing
async def refuse(
    connection: Connection,
    output: Output,
    request: _Id,
    ground: Annotated[Ground, typer.Option(help="Of the law.")],
) -> Any:  # noqa: ANN401 - any JSON
    """Turn a request down on a ground of the law. Never by whoever opened it."""
    return await _step(connection, output, request, "refuse", {"ground": ground.value})


@app.command()
@governing
async def withdraw(connection: Connection, output: Output, request: _Id) -> Any:  # noqa: ANN401 - any JSON
    """The person takes the request back, before anything is done."""
    return await _step(connection, output, request, "withdraw")


@app.command()
@governing
async def acknowledge(connection: Connection, output: Output, request: _Id) -> Any:  # noqa: ANN401 - any JSON
    """Note that the person was told that the request came in."""
    return await _step(connection, output, request, "acknowledge")


@app.command()
@governing
async def pause(
    connection: Connection,
    output: Output,
    request: _Id,
    reason: Annotated[PauseReason, typer.Option(help="What is waited for.")],
) -> Any:  # noqa: ANN401 - any JSON
    """Stop the clock, until it is known who asks or what for."""
    return await _step(connection, output, request, "pause", {"reason": reason.value})


@app.command()
@governing
async def resume(connection: Connection, output: Output, request: _Id) -> Any:  # noqa: ANN401 - any JSON
    """Let the clock go on."""
    return await _step(connection, output, request, "resume")


@app.command()
@governing
async def extend(
    connection: Connection,
    output: Output,
    request: _Id,
    reason: Annotated[ExtensionReason, typer.Option(help="Why it takes longer.")],
) -> Any:  # noqa: ANN401 - any JSON
    """Take the further time that the law gives, as the person is told."""
    return await _step(connection, output, request, "extend", {"reason": reason.value})


@app.command()
@governing
async def note(
    connection: Connection,
    output: Output,
    request: _Id,
    text: Annotated[str, typer.Option(metavar="TEXT", help="Sealed. - reads it from standard input.")],
) -> Any:  # noqa: ANN401 - any JSON
    """Keep a note with the case."""
    return await _step(connection, output, request, "note", {"text": _text(text)})


@app.command()
@governing
async def conclude(
    connection: Connection,
    output: Output,
    request: _Id,
    outcome: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            help="Of a review: upheld, changed, annulled. Of what a search found: accepted, search-again.",
        ),
    ],
) -> Any:  # noqa: ANN401 - any JSON
    """Say an officer's word on what a request waits for. Never by whoever opened it."""
    return await _step(connection, output, request, "conclude", {"outcome": outcome})


@app.command()
@governing
async def lift(connection: Connection, output: Output, request: _Id) -> Any:  # noqa: ANN401 - any JSON
    """End what a restriction or an objection forbids. Never by whoever opened it."""
    return await _step(connection, output, request, "lift")


@app.command()
@governing
async def link(connection: Connection, output: Output, request: _Id) -> Any:  # noqa: ANN401 - any JSON
    """Make a link to an access package, for the person. Shown once; the one before opens nothing any more."""
    made = await connection.call("POST", f"/v1/requests/{segment(request)}:link")
    if connection.served:
        made["link"] = f"{connection.base}/v1/packages#{made['token']}"
    for name, value in made.items():
        output.line(f"{name} {_cell(value)}")
    output.line(
        "Send it on a way that the person alone reads."
        if connection.served
        else "The person's link: https://YOUR-SERVICE/v1/packages#TOKEN, at the service's public address."
    )
    return made


async def _step(
    connection: Connection, output: Output, request: str, verb: str, body: dict[str, Any] | None = None
) -> Any:  # noqa: ANN401 - any JSON
    return _show(output, await connection.call("POST", f"/v1/requests/{segment(request)}:{verb}", body))


def _show(output: Output, request: dict[str, Any]) -> dict[str, Any]:
    rows = [(name, _said(value, request["id"])) for name, value in request.items() if name not in _DETAIL]
    output.table(("", ""), rows)
    if "timeline" in request:
        lines = [
            (one["at"], one["step"], one["by"] or "the service", _more(one)) for one in request["timeline"]
        ]
        output.table((*_LINE, ""), lines, title="Timeline")
    for name in ("scope", "progress"):
        if request.get(name):
            said = [(part, _said(value, request["id"])) for part, value in request[name].items()]
            output.table(("", ""), said, title={"scope": "Dry run", "progress": "Carried out"}[name])
    if request.get("held"):
        kept = [[_cell(one[name]) for name in _HELD] for one in request["held"]]
        output.table(_HELD, kept, title="Kept under a legal hold")
    return request


def _table(output: Output, items: list[dict[str, Any]]) -> None:
    rows = [[_flags(one) if name == "flags" else _cell(one[name]) for name in _COLUMNS] for one in items]
    output.table(_COLUMNS, rows)


def _flags(request: dict[str, Any]) -> str:
    return " ".join(name for name in ("overdue", "urgent", "paused", "extended") if request[name])


def _more(line: dict[str, Any]) -> str:
    """What a step of the timeline says beside when, what and by whom: why, how, until when."""
    return ", ".join(f"{name} {_cell(value)}" for name, value in line.items() if name not in _LINE)


def _said(value: Any, request: str) -> str:  # noqa: ANN401 - any JSON
    return in_commands(_cell(value), request)


def _cell(value: Any) -> str:  # noqa: ANN401 - any JSON
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(given: str) -> str:
    """The text, or what comes on standard input: a command line ends in the shell's history."""
    return sys.stdin.read().strip() if given == "-" else given


def _list(output: Output, path: Path) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        wrong_use(output, f"{path} is not JSON. Nothing was done.")
        raise
