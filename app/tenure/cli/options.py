"""Options that many commands take. Settings' options have the names of the `TENURE_*` variables."""

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenure.errors import Invalid

if TYPE_CHECKING:
    from tenure.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

_HELP = {
    "data_dir": "Database and objects.",
    "root_dir": "Root key and mirror. Keep it out of the data's backups.",
    "root_store": "aws-kms:… or pkcs11:…; files in the root directory if left out.",
    "root_store_previous": "Where the root key was, while it moves to another store.",
    "database_url": "postgresql://…; SQLite in the data directory if left out.",
    "migration_url": "PostgreSQL: the owner of the tables, for init.",
    "backup_url": "PostgreSQL: a role that sees every row, for backup and drill.",
    "pg_bin": "PostgreSQL: the folder of pg_dump and pg_restore; PATH if left out.",
    "objects_url": "file:///… or s3://bucket/prefix; in the data directory if left out.",
    "mirror_url": "file:///… or s3://bucket/prefix; in the root directory if left out.",
    "s3_endpoint": "https://… of the S3 server; AWS's own if left out.",
    "ledger_origin": "First part of every log's name: a host name of yours.",
    "witnesses": "File that names the witnesses of the logs; none if left out.",
    "tsa_url": "Time stamping authority (RFC 3161) for the cell's log; none if left out.",
    "tsa_certs": "File with the authority's certificates (PEM).",
    "tsa_interval_s": "Seconds between time stamps.",
    "host": "Address to listen on.",
    "port": "Port to listen on.",
    "max_body_bytes": "Largest request body.",
    "shred_interval_s": "Seconds between batches of erasures; 0: at once.",
    "rederive_interval_s": "Seconds between rounds of asking applications to derive something again.",
    "notice_interval_s": "Seconds between rounds of sending notices to recipients.",
    "inspect_interval_s": "Seconds between rounds of inspecting what is stored; 0: never.",
    "storage_interval_s": "Seconds between looks who was not counted today; 0: never.",
    "prices": "What storage costs: a JSON object, or a file with one.",
    "cell_jobs": "Whether this process takes jobs of the whole cell; true or false.",
    "lanes": "Transactions at once (PostgreSQL).",
    "log_level": "debug, info, warning or error.",
}
PLACES = (
    "data_dir",
    "root_dir",
    "root_store",
    "root_store_previous",
    "database_url",
    "migration_url",
    "objects_url",
    "mirror_url",
    "s3_endpoint",
    "ledger_origin",
)
KEEPING = (*PLACES, "backup_url", "pg_bin")
ALL = tuple(name for name in _HELP if name not in ("backup_url", "pg_bin"))


class Given:
    """The settings' options of one call; what is not given comes from the environment."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def settings(self, **fixed: Any) -> "Settings":  # noqa: ANN401 - any setting's value
        """The settings, `fixed` ones above all. Raises Invalid naming the variable that is wrong."""
        from pydantic import ValidationError  # noqa: PLC0415 - only with the settings

        from tenure.settings import Settings  # noqa: PLC0415

        try:
            return Settings(**{**self._values, **fixed})
        except ValidationError as wrong:
            first = wrong.errors(include_url=False, include_input=False, include_context=False)[0]
            name = f"TENURE_{str(first['loc'][0]).upper()}" if first["loc"] else "TENURE_*"
            raise Invalid(
                f"The setting {name} cannot be used: {first['msg']}. Nothing was done.",
                field=name,
                rule="settings",
            ) from None


def takes_settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of these settings. They reach it together, as `given: Given`."""

    def wrap(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def called(**values: Any) -> None:  # noqa: ANN401 - whatever the command takes
            found = {name: values.pop(name) for name in names}
            given = Given({name: value for name, value in found.items() if value is not None})
            return command(given=given, **values)

        return with_parameters(called, command, [_option(name) for name in names], drop={"given"})

    return wrap


def with_parameters(
    called: Callable[..., None],
    source: Callable[..., Any],
    more: list[inspect.Parameter],
    *,
    drop: set[str],
) -> Callable[..., None]:
    """Show `called` to typer with the parameters of `source` without `drop`, then `more`."""
    own = inspect.signature(source, eval_str=True).parameters.values()
    kept = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in own
        if parameter.name not in drop
    ]
    parameters = kept + [one for one in more if one.name not in {parameter.name for parameter in kept}]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called


def _option(name: str) -> inspect.Parameter:
    text = Annotated[
        str | None,
        typer.Option(
            f"--{name.replace('_', '-')}",
            envvar=f"TENURE_{name.upper()}",
            help=_HELP[name],
            metavar="VALUE",
            rich_help_panel="Settings",
        ),
    ]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=text)
