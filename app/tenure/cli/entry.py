"""The `tenure` command. Only what the bare client install has is imported here."""

from importlib.metadata import version
from typing import Annotated

import typer

from tenure.cli import (
    breakglass,
    cell,
    configurations,
    doctor,
    events,
    evidence,
    holds,
    issuers,
    jobs,
    keeping,
    ledger,
    lifecycle,
    manifests,
    policy,
    principals,
    residue,
    retention,
    retrieve,
    rootstore,
    selftest,
    shred,
    storage,
    tenants,
    verify,
    witness,
)
from tenure.cli.demo import command as demo

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local variables would print API keys.
    pretty_exceptions_enable=False,
    help="Governed context for AI agents. Exit codes: 0 yes, 1 no, 2 wrong use.",
)

_CELL, _KEEP, _GOVERN, _PROVE = "The cell", "Keep", "Govern", "Prove"

app.command(rich_help_panel=_CELL)(cell.init)
app.command(rich_help_panel=_CELL)(cell.serve)
app.command(rich_help_panel=_CELL)(demo.demo)
app.command(rich_help_panel=_CELL)(doctor.doctor)
app.command(rich_help_panel=_KEEP)(keeping.backup)
app.command(rich_help_panel=_KEEP)(keeping.restore)
app.command(rich_help_panel=_KEEP)(keeping.drill)
app.command(rich_help_panel=_GOVERN)(manifests.apply)
app.command(rich_help_panel=_GOVERN)(manifests.diff)
app.command(rich_help_panel=_GOVERN)(manifests.get)
app.command(rich_help_panel=_GOVERN)(manifests.describe)
app.command(rich_help_panel=_GOVERN)(configurations.history)
app.command(rich_help_panel=_GOVERN)(configurations.rollback)
app.command(rich_help_panel=_GOVERN)(manifests.schema)
app.add_typer(policy.app, name="policy", rich_help_panel=_GOVERN)
app.add_typer(retention.app, name="retention", rich_help_panel=_GOVERN)
app.command(rich_help_panel=_GOVERN)(storage.storage)
app.command(rich_help_panel=_GOVERN)(storage.cost)
app.add_typer(tenants.app, name="tenant", rich_help_panel=_GOVERN)
app.add_typer(principals.app, name="principal", rich_help_panel=_GOVERN)
app.add_typer(issuers.app, name="issuer", rich_help_panel=_GOVERN)
app.add_typer(shred.app, name="shred", rich_help_panel=_GOVERN)
app.add_typer(holds.app, name="hold", rich_help_panel=_GOVERN)
app.command(rich_help_panel=_GOVERN)(events.event)
app.command(rich_help_panel=_GOVERN)(retrieve.retrieve)
app.add_typer(breakglass.app, name="breakglass", rich_help_panel=_GOVERN)
app.add_typer(rootstore.app, name="rootstore", rich_help_panel=_CELL)
app.add_typer(jobs.app, name="jobs", rich_help_panel=_CELL)
app.add_typer(ledger.app, name="ledger", rich_help_panel=_CELL)
app.add_typer(lifecycle.app, name="lifecycle", rich_help_panel=_CELL)
app.command(rich_help_panel=_PROVE)(verify.verify)
app.command(rich_help_panel=_PROVE)(verify.audit)
app.command(rich_help_panel=_PROVE)(evidence.population)
app.command(rich_help_panel=_PROVE)(evidence.evidence)
app.command(rich_help_panel=_PROVE)(selftest.selftest)
app.command(rich_help_panel=_PROVE)(residue.residue)
app.add_typer(witness.app, name="witness", rich_help_panel=_PROVE)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tenure {version('tenure')}")
        raise typer.Exit


@app.callback()
def _root(
    show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Options of the program itself."""


def main() -> None:
    """Run the command line."""
    app()
