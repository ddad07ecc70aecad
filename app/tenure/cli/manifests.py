"""`tenure apply` and `tenure get`: what is declared."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tenure.cli.folder import manifest_files
from tenure.cli.governing import governing, segment
from tenure.cli.looking_back import show_what_if
from tenure.cli.output import Output
from tenure.client.http import Connection
from tenure.errors import Invalid

_BETWEEN = "\n---\n"


class Kind(StrEnum):
    """What can be declared."""

    VOCABULARY = "Vocabulary"
    SCOPE = "Scope"
    ROLE = "Role"
    GRANT = "Grant"


@governing
async def apply(
    connection: Connection,
    output: Output,
    file: Annotated[
        Path,
        typer.Option("--file", "-f", exists=True, metavar="FILE|DIR", help="Manifests, or a folder of them."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and compare; change nothing.")] = False,
    what_if: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="DAYS",
            help="With --dry-run: which accesses of so many days would come out differently.",
        ),
    ] = None,
) -> Any:  # noqa: ANN401
    """Declare manifests. They are checked together, then change in one transaction."""
    if what_if is not None and not dry_run:
        raise typer.BadParameter("It is told by a dry run only: add --dry-run.", param_hint="--what-if")
    texts = _read(file)
    params = {"dry_run": "true"} if dry_run else {}
    params |= {"what_if_days": str(what_if)} if what_if is not None else {}
    body = _BETWEEN.join(texts.values())
    try:
        applied = await connection.call("POST", "/v1/manifests:apply", text=body, params=params, seconds=None)
    except Invalid as failure:
        if len(texts) > 1:
            failure.remedy = f"{failure.remedy or ''} Lines count through all files: {_beginnings(texts)}."
        raise
    rows = [(one["kind"], one["name"], one["change"]) for one in applied["changes"]]
    output.table(("kind", "name", "change"), rows)
    output.line(f"policy {applied['policy']}" + (" (dry run: nothing was changed)" if dry_run else ""))
    if what_if is not None:
        show_what_if(output, applied["what_if"])
    return applied


@governing
async def get(
    connection: Connection,
    output: Output,
    kind: Annotated[Kind, typer.Argument(case_sensitive=False, help="What to show.")],
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of them, in full.")] = None,
) -> Any:  # noqa: ANN401
    """Show what is declared: all of a kind, or one in full."""
    if name is not None:
        found = await connection.call("GET", f"/v1/manifests/{kind.value}/{segment(name)}")
        output.line(json.dumps(found, indent=2, ensure_ascii=False))
        return found
    page = await connection.call("GET", f"/v1/manifests/{kind.value}")
    about = [one["metadata"] for one in page["items"]]
    rows = [(one["name"], one["generation"], one["appliedAt"]) for one in about]
    output.table(("name", "generation", "applied"), rows)
    return page


def _read(path: Path) -> dict[Path, str]:
    """The text of each file. The service checks all of them together."""
    files = [path]
    if path.is_dir():
        files = manifest_files(path)
        if not files:
            raise typer.BadParameter(f"{path} holds no .yaml, .yml or .json file.", param_hint="--file")
    try:
        return {file: file.read_text("utf-8") for file in files}
    except (OSError, UnicodeDecodeError) as failure:
        raise typer.BadParameter(f"{path} cannot be read as text.", param_hint="--file") from failure


def _beginnings(texts: dict[Path, str]) -> str:
    """Which line of the whole each file begins on."""
    found, line = [], 1
    for file, text in texts.items():
        found.append(f"{file.name} from {line}")
        line += (text + _BETWEEN).count("\n")
    return ", ".join(found)
