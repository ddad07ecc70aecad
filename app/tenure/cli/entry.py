"""The `tenure` command. Only what the bare client install has is imported here."""

from typing import Annotated

import typer

from tenure.cli.lazily import Place, group_of

_CELL, _KEEP, _GOVERN, _PROVE = "The cell", "Keep", "Govern", "Prove"

# In the order of the help.
_COMMANDS = {
    "init": Place("cell", "init", _CELL),
    "serve": Place("cell", "serve", _CELL),
    "demo": Place("demo.command", "demo", _CELL),
    "doctor": Place("doctor", "doctor", _CELL),
    "backup": Place("keeping", "backup", _KEEP),
    "restore": Place("keeping", "restore", _KEEP),
    "drill": Place("keeping", "drill", _KEEP),
    "import": Place("importing", "app", _KEEP),
    "apply": Place("manifests", "apply", _GOVERN),
    "diff": Place("manifests", "diff", _GOVERN),
    "get": Place("manifests", "get", _GOVERN),
    "describe": Place("manifests", "describe", _GOVERN),
    "history": Place("configurations", "history", _GOVERN),
    "rollback": Place("configurations", "rollback", _GOVERN),
    "schema": Place("manifests", "schema", _GOVERN),
    "storage": Place("storage", "storage", _GOVERN),
    "cost": Place("storage", "cost", _GOVERN),
    "event": Place("events", "event", _GOVERN),
    "retrieve": Place("retrieve", "retrieve", _GOVERN),
    "verify": Place("verify", "verify", _PROVE),
    "audit": Place("verify", "audit", _PROVE),
    "certificate": Place("certificate", "certificate", _PROVE),
    "population": Place("evidence", "population", _PROVE),
    "evidence": Place("evidence", "evidence", _PROVE),
    "selftest": Place("selftest", "selftest", _PROVE),
    "residue": Place("residue", "residue", _PROVE),
    "register": Place("register", "register", _PROVE),
    "policy": Place("policy", "app", _GOVERN),
    "retention": Place("retention", "app", _GOVERN),
    "tenant": Place("tenants", "app", _GOVERN),
    "principal": Place("principals", "app", _GOVERN),
    "issuer": Place("issuers", "app", _GOVERN),
    "shred": Place("shred", "app", _GOVERN),
    "hold": Place("holds", "app", _GOVERN),
    "request": Place("rights", "app", _GOVERN),
    "notice": Place("notices", "app", _GOVERN),
    "breakglass": Place("breakglass", "app", _GOVERN),
    "rootstore": Place("rootstore", "app", _CELL),
    "jobs": Place("jobs", "app", _CELL),
    "ledger": Place("ledger", "app", _CELL),
    "lifecycle": Place("lifecycle", "app", _CELL),
    "witness": Place("witness", "app", _PROVE),
}

app = typer.Typer(
    cls=group_of(_COMMANDS),
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local variables would print API keys.
    pretty_exceptions_enable=False,
    help="Governed context for AI agents. Exit codes: 0 yes, 1 no, 2 wrong use.",
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 - takes a while to import, for this alone

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
