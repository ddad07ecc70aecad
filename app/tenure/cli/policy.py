"""`tenure policy`: why something is allowed or not, tests of manifests, a past decision under other rules."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from tenure.cli.governing import governing, segment
from tenure.cli.options import Json
from tenure.cli.output import NO, WRONG_USE, Output, answering, wrong_use
from tenure.client.http import Connection

app = typer.Typer(no_args_is_help=True, help="Why policy says what it says: explain, test, replay.")

_SHORT = 16
_MOST = 50


@app.command()
@governing
async def explain(
    connection: Connection,
    output: Output,
    entry: Annotated[
        str | None, typer.Option(metavar="ID", help="A denial's `entry`, or that of any access or act.")
    ] = None,
    decision: Annotated[
        str | None, typer.Option(metavar="ID", help="Everything that a decision asked for.")
    ] = None,
    principal: Annotated[str | None, typer.Option(metavar="NAME", help="Or a question: by whom.")] = None,
    role: Annotated[list[str] | None, typer.Option(metavar="ROLE", help="By which role. May repeat.")] = None,
    scope: Annotated[str | None, typer.Option(metavar="SCOPE", help="Where.")] = None,
    category: Annotated[
        list[str] | None, typer.Option(metavar="CATEGORY", help="A label of the data. May repeat.")
    ] = None,
    purpose: Annotated[str | None, typer.Option(metavar="PURPOSE", help="What for.")] = None,
    action: Annotated[str | None, typer.Option(metavar="ACTION", help="read, write, list or delete.")] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="When; now if left out.")] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """Say which rules spoke, and of a denial what would have had to differ."""
    given = {
        "entry": entry,
        "decision": decision,
        "principal": principal,
        "roles": role or None,
        "scope": scope,
        "categories": category or None,
        "purpose": purpose,
        "action": action,
        "at": at,
    }
    body = {name: value for name, value in given.items() if value is not None}
    told = await connection.call("POST", "/v1/policy:explain", body)
    for one in told["items"]:
        for line in _lines(one):
            output.line(line)
        output.line()
    if not told.get("complete", True):
        output.line("The decision has more entries than one answer looks at: these are of its first.")
    if told["left_out"]:
        output.line(f"{told['left_out']} more are not shown.")
    if told["unknown"]:
        output.line(f"Of {told['unknown']} accesses it cannot be known any more what was asked.")
    return told


@app.command()
@governing
async def replay(
    connection: Connection,
    output: Output,
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="Its id.")],
    under: Annotated[
        str, typer.Option("--policy", metavar="current|DIGEST", help="Under which rules.")
    ] = "current",
) -> Any:  # noqa: ANN401 - any JSON
    """Judge a past decision's accesses under today's rules or those of a digest. Itself on record."""
    found = await connection.call(
        "POST", f"/v1/decisions/{segment(decision)}:replay", {"policy": under}, seconds=None
    )
    summary = found["summary"]
    rows = [
        (
            one["different"] or "same",
            one["action"],
            one["scope"],
            ", ".join(one["categories"]),
            one["then"]["reason"],
            one["now"]["reason"],
            ", ".join(one["now"]["rules"]),
        )
        for one in found["items"][:_MOST]
    ]
    output.table(("", "action", "scope", "categories", "then", "now", "rules now"), rows)
    if len(found["items"]) > _MOST:
        output.line(f"{len(found['items']) - _MOST} more accesses are not shown (--json shows all).")
    output.line(
        f"{summary['accesses']} accesses: {summary['now_denied']} would be denied now,"
        f" {summary['now_allowed']} allowed now, {summary['same']} the same"
    )
    if not summary.get("complete", True):
        output.line("The decision has more accesses than one answer judges: these are its first.")
    if summary["unknown"]:
        output.line(f"Of {summary['unknown']} more it cannot be known any more what was asked.")
    if summary["not_reproduced"]:
        output.line(f"{summary['not_reproduced']} do not come out as recorded under their own rules either.")
    output.line(f"roles: {found['roles']}; policy {found['policy']}; on record as {found['entry']}")
    return found


@app.command("test")
def try_out(
    folder: Annotated[
        Path,
        typer.Argument(exists=True, file_okay=False, metavar="DIR", help="Manifests and NAME.tests.yaml."),
    ],
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML for CI.")] = None,
    as_json: Json = False,
) -> None:
    """Try the cases beside manifests, offline. 0: all hold; 1: some do not; 2: a file is wrong."""
    output = Output(as_json=as_json)
    with answering(output):
        from tenure.cli import junit as xml  # noqa: PLC0415 - needs the server's libraries
        from tenure.cli.trying import try_folder  # noqa: PLC0415

        trial = try_folder(folder)
        if junit is not None:
            try:
                junit.write_bytes(xml.junit(trial))
            except OSError:
                wrong_use(output, f"{junit} cannot be written.")
    for file, case, outcome in trial.cases:
        if not outcome.passed:
            output.line(f"{file}:{case.line}: {case.name}: {outcome.wrong}")
            for sentence in outcome.why:
                output.line(f"  {sentence}")
    for one in trial.problems:
        output.line(f"{one.file}:{one.line}: {one.detail}")
    output.line(f"{len(trial.cases)} cases, {trial.failed} failed, {len(trial.problems)} problems")
    output.document(trial.as_json())
    if trial.problems:
        raise typer.Exit(WRONG_USE)
    if trial.failed:
        raise typer.Exit(NO)


_KEPT_BACK = {
    "restricted": "kept back (restricted): the processing is restricted, for somebody whom it is about"
    " (GDPR Art. 18), or as the version was corrected (Art. 16)",
    "objected": "kept back (objected): somebody whom it is about objects to the purpose (GDPR Art. 21)",
}


def _lines(one: dict[str, Any]) -> Iterator[str]:
    asked = one["question"]
    categories = ", ".join(asked["categories"]) or "anything"
    roles = ", ".join(asked["roles"]) or "none"
    yield f"{asked['action']} of {categories} in {asked['scope']} for {asked['purpose']}, at {asked['at']}"
    who = f"principal {asked['principal']}, " if asked["principal"] else ""
    yield f"  {who}roles {roles} ({asked['roles_from']})"
    if one["entry"] is not None:
        said = {True: "allowed", False: "denied", None: "not said"}[one["recorded"]]
        yield f"  entry {one['entry']}: recorded as {said}"
        if (why := one.get("kept_back")) is not None:
            yield f"  {_KEPT_BACK[why]}"
    yield from _verdict("then", one["then"])
    yield from _verdict("now", one["now"])


def _verdict(when: str, told: dict[str, Any] | None) -> Iterator[str]:
    if told is None:
        return
    answer = "allowed" if told["allowed"] else f"denied ({told['reason']})"
    yield f"  {when}, policy {told['policy'][: len('sha256:') + _SHORT]}…: {answer}"
    for sentence in told["why"]:
        yield f"    {sentence}"
    for name, rule in told["rules"].items():
        if "grant" in rule:
            about = f": {rule['description']}" if rule["description"] else ""
            yield f"    {name} is row {rule['row']} of {rule['rows']} of Grant {rule['grant']}{about}"
