"""`tenure init` and `tenure serve`: the cell itself."""

import typer

from tenure.cli.options import ALL, PLACES, Given, Json, takes_settings
from tenure.cli.output import NO, Output, answering


@takes_settings(*PLACES)
def init(given: Given, as_json: Json = False) -> None:
    """Make the database and the first keys; prints the operator's API key, once. Also migrates."""
    output = Output(as_json=as_json)
    with answering(output):
        from tenure.bootstrap import prepare  # noqa: PLC0415 - not in the bare install
        from tenure.logs import log_for_people  # noqa: PLC0415

        log_for_people("warning")
        settings = given.settings()
        key = prepare(settings)
    if key is None:
        detail = "This cell has its operator already; its key cannot be shown again. The schema is current."
        output.document({"error": {"kind": "conflict", "detail": detail}})
        output.line(detail)
        raise typer.Exit(NO)
    output.document({"operator_key": key})
    output.line(f"data      {settings.data_dir.resolve()}")
    output.line(f"root key  {settings.root_dir.resolve()}   (keep it out of the data's backups)")
    output.line(f"operator_key {key}")
    output.line("The key is shown this once. Next: TENURE_API_KEY=… tenure tenant create NAME")


@takes_settings(*ALL)
def serve(given: Given) -> None:
    """Serve the HTTP API until stopped."""
    with answering(Output(as_json=False)):
        from tenure.main import run  # noqa: PLC0415 - not in the bare install

        run(given.settings())
