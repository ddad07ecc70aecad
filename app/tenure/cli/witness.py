"""`tenure witness`: cosign other parties' logs, from the bare client install."""

from pathlib import Path
from typing import Annotated

import typer

from tenure.cli.options import Json
from tenure.cli.output import Output, answering, wrong_use
from tenure.witness.place import Place
from tenure.witness.server import WitnessServer

app = typer.Typer(help="A witness for logs (C2SP tlog-witness): run it apart from what it watches.")

_MAX_PORT = 65535
_Dir = Annotated[Path, typer.Option("--dir", metavar="DIR", help="The witness's key and what it cosigned.")]


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    directory: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="The witness's key and what it cosigned.")
    ] = None,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to listen; a proxy adds TLS.")
    ] = "127.0.0.1:8421",
) -> None:
    """Answer POST /add-checkpoint until stopped."""
    if context.invoked_subcommand is not None:
        return
    output = Output(as_json=False)
    if directory is None:
        wrong_use(output, "Give the witness's directory with --dir. Nothing was started.")
        return
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _MAX_PORT:
        wrong_use(output, "--listen is HOST:PORT with a port of 0…65535. Nothing was started.")
    with answering(output):
        place = Place(directory)
        try:
            server = WitnessServer((host.strip("[]"), int(port)), place)
        except OSError as failure:
            wrong_use(output, f"Cannot listen on {listen}: {failure.strerror}. Nothing was started.")
            return
        with server:
            bound = server.server_address
            output.line(f"witness {place.vkey}")
            output.line(f"listens on http://{host}:{bound[1]}/")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                return


@app.command()
def init(
    directory: _Dir,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="A URL without scheme that identifies it: witness.example/w1.")
    ],
    as_json: Json = False,
) -> None:
    """Make the witness's key and print its verifier key."""
    output = Output(as_json=as_json)
    with answering(output):
        place = Place.create(directory, name)
        output.line(place.vkey)
        output.document({"vkey": place.vkey})


@app.command()
def trust(
    directory: _Dir,
    vkeys: Annotated[list[str], typer.Argument(metavar="VKEY…", help="Keys of logs, as these publish them.")],
    as_json: Json = False,
) -> None:
    """Register logs: from now on the witness cosigns them."""
    output = Output(as_json=as_json)
    with answering(output):
        place = Place(directory)
        origins = [place.trust(vkey) for vkey in vkeys]
        for origin in origins:
            output.line(f"knows {origin}")
        output.document({"origins": origins})
