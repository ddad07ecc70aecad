"""`tenure apply`, `diff`, `get`, `describe` and `schema`: what is declared."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tenure import resources
from tenure.cli.files import located, read_files, request_body
from tenure.cli.governing import governing, segment
from tenure.cli.looking_back import show_what_if
from tenure.cli.options import Json
from tenure.cli.output import NO, Output
from tenure.client.http import Connection
from tenure.model.yaml_text import to_yaml


class Kind(StrEnum):
    """What can be declared."""

    VOCABULARY = "Vocabulary"
    SCOPE = "Scope"
    ROLE = "Role"
    GRANT = "Grant"
    RETENTION = "Retention"
    RECIPIENT = "Recipient"
    AGENT = "Agent"
    CONTROLLER = "Controller"


class Form(StrEnum):
    """How manifests are printed, ready to be applied again."""

    YAML = "yaml"
    JSON = "json"


_File = Annotated[
    Path,
    typer.Option("--file", "-f", exists=True, metavar="FILE|DIR", help="Manifests, or a folder of them."),
]
_Prune = Annotated[bool, typer.Option("--prune", help="Remove what is not given.")]
_Kind = Annotated[Kind, typer.Argument(case_sensitive=False, help="What to show.")]


@governing
async def apply(
    connection: Connection,
    output: Output,
    file: _File,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and compare; change nothing.")] = False,
    prune: _Prune = False,
    what_if: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="DAYS",
            help="With --dry-run: which accesses of so many days would come out differently.",
        ),
    ] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """Declare manifests. They are checked together, then change in one transaction."""
    if what_if is not None and not dry_run:
        raise typer.BadParameter("It is told by a dry run only: add --dry-run.", param_hint="--what-if")
    texts = read_files(file)
    params = {name: "true" for name, on in (("dry_run", dry_run), ("prune", prune)) if on}
    params |= {"what_if_days": str(what_if)} if what_if is not None else {}
    with located(texts):
        applied = await connection.call(
            "POST", "/v1/manifests:apply", text=request_body(texts), params=params, seconds=None
        )
    show_changes(output, applied)
    if what_if is not None:
        show_what_if(output, applied["what_if"])
    return applied


@governing
async def diff(connection: Connection, output: Output, file: _File, prune: _Prune = False) -> Any:  # noqa: ANN401 - any JSON
    """Show what an apply would change. Exit code 1 if it would change something, 0 if nothing."""
    texts = read_files(file)
    params = {"prune": "true"} if prune else None
    with located(texts):
        found = await connection.call("POST", "/v1/manifests:diff", text=request_body(texts), params=params)
    for one in found["changes"]:
        output.line(one["diff"].rstrip("\n"))
    if found["changes"]:
        output.document(found)
        raise typer.Exit(NO)
    output.line("Nothing would change.")
    return found


@governing
async def get(
    connection: Connection,
    output: Output,
    kind: _Kind,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of them, in full.")] = None,
    form: Annotated[
        Form | None, typer.Option("--output", "-o", help="Print manifests that can be applied again.")
    ] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """Show what is declared: all of a kind, or one in full."""
    path = f"/v1/manifests/{kind.value}"
    if name is not None:
        found = await connection.call("GET", f"{path}/{segment(name)}")
        if form is None:
            output.line(json.dumps(found, indent=2, ensure_ascii=False))
        _print(output, form, [found])
        return found
    page = await connection.call("GET", path)
    if form is None:
        about = [one["metadata"] for one in page["items"]]
        rows = [(one["name"], one["generation"], one["appliedAt"]) for one in about]
        output.table(("name", "generation", "applied"), rows)
    _print(output, form, page["items"])
    return page


@governing
async def describe(
    connection: Connection,
    output: Output,
    kind: _Kind,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which one.")],
) -> Any:  # noqa: ANN401 - any JSON
    """Say in words what a manifest means, whether it is enforced, which grants reach it, who applied it."""
    found = await connection.call("GET", f"/v1/manifests/{kind.value}/{segment(name)}:describe")
    about, applied = found["metadata"], found["applied"]
    output.line(f"{found['kind']} {about['name']}, generation {about['generation']}")
    if applied is None:
        output.line(f"applied {about['appliedAt']}, before generations of the configuration were counted")
    else:
        who = applied["name"] or applied["principal"]
        output.line(
            f"applied {applied['at']} by {who}, in generation {applied['generation']} of the configuration"
        )
        output.line(f"entry {applied['entry']}")
    for words in found["words"]:
        output.line(f"  {words}")
    rows = [(one["type"], one["status"], one["reason"], one["message"]) for one in found["conditions"]]
    output.table(("condition", "status", "reason", ""), rows)
    if found["grants"]:
        output.line("Grants that reach it:")
    for one in found["grants"]:
        output.line(f"  {one['words']}")
    return found


def schema(
    kind: Annotated[Kind | None, typer.Argument(case_sensitive=False, help="Every kind if left out.")] = None,
    as_json: Json = False,  # noqa: ARG001 - it is JSON in any case
) -> None:
    """Print the JSON Schema (2020-12) of a kind of manifest, or of all in one. For editors."""
    typer.echo(resources.schema("manifest" if kind is None else kind.value.lower()).decode(), nl=False)


def show_changes(output: Output, applied: dict[str, Any]) -> None:
    """What an apply or a rollback did."""
    rows = [(one["kind"], one["name"], one["change"]) for one in applied["changes"]]
    output.table(("kind", "name", "change"), rows)
    for warning in applied.get("warnings", ()):
        output.line(f"note: {warning}")
    dry = " (dry run: nothing was changed)" if applied["dry_run"] else ""
    output.line(f"policy {applied['policy']}, generation {applied['generation']}{dry}")


def _print(output: Output, form: Form | None, found: list[dict[str, Any]]) -> None:
    """What was declared, without what the service says about it."""
    if form is None:
        return
    declared = [
        {
            "apiVersion": one["apiVersion"],
            "kind": one["kind"],
            "metadata": {"name": one["metadata"]["name"]},
            "spec": one["spec"],
        }
        for one in found
    ]
    if form is Form.YAML:
        output.line(to_yaml(declared).rstrip("\n"))
    else:
        output.line(json.dumps(declared if len(declared) != 1 else declared[0], indent=2, ensure_ascii=False))
