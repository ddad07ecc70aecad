"""`tenure doctor`: is this cell set up as it should be, and does it open?

It opens the cell as `serve` does, so a restored database is recovered on the way. A cell that another
process has open is judged from outside.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from tenure.cli.governing import ApiKey, Url
from tenure.cli.options import ALL, Given, Json, takes_settings
from tenure.cli.output import NO, Output, answering, bar
from tenure.client.http import Connection
from tenure.errors import ONE_PROCESS, Conflict, TenureError
from tenure.ids import CELL

if TYPE_CHECKING:
    from tenure.settings import Settings

_OTHERS = 0o077
_MOST = 50
_HOUR_US = 3_600_000_000
"""Changed rows that are listed one by one; the rest are counted."""
_TAMPERED = 'See docs/operations.md, "Stored data was changed".'
_OWNER = "the role owns tables, or may become who does, and so could switch row-level security off"


class Finding(NamedTuple):
    """What one check found. `remedy` is empty when there is nothing to do."""

    check: str
    state: Literal["ok", "warning", "failed", "not checked"]
    detail: str
    remedy: str = ""


@takes_settings(*ALL)
def doctor(
    given: Given,
    api_key: ApiKey = None,
    url: Url = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out looking at every stored row.")] = False,
    as_json: Json = False,
) -> None:
    """Check settings, folders, permissions, database role, schema, keys, ledgers, and every stored row.

    With --url and the operator's key, also which tenants the service refused lately.
    """
    output = Output(as_json=as_json)
    with answering(output), bar(output) as progress:
        settings = given.settings()
        findings = list(_examine(settings))
        findings[-1:-1] = _refused(api_key, url)
        if quick:
            findings.append(Finding("stored rows", "warning", "not looked at", "Leave out --quick."))
        elif findings[-1].check != "opens":  # there is a database
            findings += _stored(settings, progress)
    well = all(one.state != "failed" for one in findings)
    output.table(("check", "", "found"), [(one.check, one.state, one.detail) for one in findings])
    for line in dict.fromkeys(f"{one.check}: {one.remedy}" for one in findings if one.remedy):
        output.line(line)
    output.document({"ok": well, "checks": [one._asdict() for one in findings]})
    if not well:
        raise typer.Exit(NO)


def _examine(settings: "Settings") -> Iterator[Finding]:
    yield Finding("settings", "ok", f"data in {settings.data_dir}, root key in {settings.root_dir}")
    yield from _places(settings)
    yield from _root_store(settings)
    if settings.database.startswith("postgresql"):
        yield from _role(settings)
    elif not (settings.data_dir / "tenure.db").exists():
        yield Finding("opens", "failed", "there is no database here", "Run 'tenure init'.")
        return
    yield from _opening(settings)
    yield from _locks(settings)
    yield from _reviews(settings)
    yield from _requests(settings)
    yield from _notices(settings)
    yield from _jobs(settings)
    yield from _remembered(settings)


def _places(settings: "Settings") -> Iterator[Finding]:
    from tenure.governance.backup import overlap  # noqa: PLC0415 - not in the bare install
    from tenure.places import places_of  # noqa: PLC0415 - not in the bare install

    data, root = settings.data_dir.resolve(), settings.root_dir.resolve()
    try:
        objects, mirror = places_of(settings)
    except TenureError as failure:
        yield Finding("places", "failed", failure.detail, failure.remedy or "")
        return
    if _inside(root, data) or _inside(data, root):
        apart = "Put them side by side, and back up only the data directory."
        yield Finding("root apart", "failed", "root and data directory contain one another", apart)
    else:
        yield Finding("root apart", "ok", "the root key is outside the data directory")
    for name, kept in (("data directory", data), ("objects' place", objects)):
        if overlap(mirror, kept):
            yield Finding(
                "mirror apart",
                "warning",
                f"mirror and {name} contain one another: a restore takes both back and goes unnoticed",
                "Set TENURE_MIRROR_URL to a place that the data's backups do not cover.",
            )
            break
    else:
        yield Finding("mirror apart", "ok", "the mirror is outside the data and the objects")
    if overlap(root, objects):
        apart = (
            "Set TENURE_OBJECTS_URL to a place of its own: a backup of the objects would hold the root key."
        )
        yield Finding("objects apart", "failed", "root and objects contain one another", apart)
    folders = {"root directory": root} | ({"mirror": mirror} if isinstance(mirror, Path) else {})
    yield from _volumes(data, folders)


def _volumes(data: Path, apart: dict[str, Path]) -> Iterator[Finding]:
    """A snapshot of a volume is a backup of everything on it, and its restore one of everything too."""
    shared = [
        name
        for name, place in apart.items()
        if (device := _device(place)) is not None and device == _device(data)
    ]
    if shared:
        yield Finding(
            "volumes apart",
            "warning",
            f"{' and '.join(shared)} and data are on one file system: its snapshot, put back, takes all back",
            "Put root and mirror on a volume of their own, or never restore snapshots of this one.",
        )
    else:
        yield Finding("volumes apart", "ok", "root and mirror are on other file systems than the data")


def _root_store(settings: "Settings") -> Iterator[Finding]:
    from tenure.groundwork import key_directories  # noqa: PLC0415 - not in the bare install

    try:
        directories = key_directories(settings)
    except TenureError as failure:
        yield Finding("root store", "failed", failure.detail, failure.remedy or "")
        return
    for directory in directories:
        yield from _permissions(directory)
    if settings.root_store_previous:
        yield Finding(
            "root store",
            "warning",
            "a hand-over between two root stores is set up",
            "Run 'tenure rootstore migrate', then unset TENURE_ROOT_STORE_PREVIOUS.",
        )


def _permissions(keys: Path) -> Iterator[Finding]:
    if not keys.is_dir():
        yield Finding("root files", "failed", "there is no root key here", "Run 'tenure init'.")
        return
    exposed = [path for path in (keys, *keys.glob("root-*")) if path.stat().st_mode & _OTHERS]
    if exposed:
        remedy = f"Run: chmod -R go-rwx {keys}"
        yield Finding("root files", "failed", f"{len(exposed)} can be read or changed by others", remedy)
    else:
        yield Finding("root files", "ok", "only their owner can reach them")


def _role(settings: "Settings") -> Iterator[Finding]:
    """Row-level security binds no superuser, and whoever owns a table can switch it off."""
    from tenure.groundwork import ABOVE, REMEDY, role_standing  # noqa: PLC0415 - not in the bare install

    try:
        standing = role_standing(settings)
    except TenureError as failure:
        yield Finding("database role", "failed", failure.detail, "Check the URL.")
        return
    if standing == "bound":
        yield Finding("database role", "ok", "neither superuser nor owner; security is forced on every table")
    else:
        why = ABOVE.get(standing, _OWNER)
        detail = f"row-level security does not keep tenants apart for sure: {why}"
        yield Finding("database role", "failed", detail, REMEDY[standing])


def _opening(settings: "Settings") -> Iterator[Finding]:
    from tenure.cli.embedded import open_cell  # noqa: PLC0415 - not in the bare install

    async def attempt() -> bool:
        async with open_cell(settings, log_level="critical") as cell:
            return cell.restored

    try:
        restored = asyncio.run(attempt())
    except Conflict as failure:
        if failure.rule == ONE_PROCESS:
            yield Finding("opens", "ok", "another process has it open")
        else:
            yield Finding("opens", "failed", failure.detail, failure.remedy or "")
        return
    except TenureError as failure:
        yield Finding("opens", "failed", failure.detail, failure.remedy or "")
        return
    yield Finding("opens", "ok", "the schema is current and a root key opens the key state")
    if restored:
        detail = (
            "the database was restored to an older state; erasures were replayed, ledgers brought up or begun"
        )
        yield Finding("restored", "warning", detail)


def _locks(settings: "Settings") -> Iterator[Finding]:
    """Whether the bucket can lock what it is asked to, and locks nothing else; without locks nothing."""
    from tenure.places import object_lock_of, require_locks  # noqa: PLC0415 - not in the bare install

    try:
        lock = object_lock_of(settings)
        require_locks(settings)
    except TenureError as failure:
        yield Finding("object lock", "failed", failure.detail, failure.remedy or "")
        return
    if lock is not None:
        yield Finding("object lock", "ok", lock.words)


def _found(settings: "Settings", verb: str) -> Any:  # noqa: ANN401 - whatever that verb finds
    """What a verb of `safekeeping` finds; None where the database does not open, which was reported above."""
    from tenure import safekeeping  # noqa: PLC0415 - not in the bare install

    try:
        return getattr(safekeeping, verb)(settings)
    except Exception:  # noqa: BLE001 - a database that does not open was reported above
        return None


def _dark(name: str) -> Finding:
    return Finding(name, "warning", "cannot be looked up", "See the check before.")


def _reviews(settings: "Settings") -> Iterator[Finding]:
    """Elevations to roles for emergencies that nobody reviewed in time."""
    late = _found(settings, "overdue_reviews")
    yield from _overdue("break-glass", late, "the review of", "tenure breakglass review")


def _requests(settings: "Settings") -> Iterator[Finding]:
    """Rights requests that were not answered in time."""
    yield from _overdue(
        "rights requests", _found(settings, "overdue_requests"), "request", "tenure request show"
    )


def _overdue(name: str, late: Any, what: str, command: str) -> Iterator[Finding]:  # noqa: ANN401 - see `_found`
    """Of each that is late: whose it is, and what to run."""
    if late is None:
        yield _dark(name)
        return
    from tenure.ids import rfc3339  # noqa: PLC0415 - not in the bare install

    for one in late:
        detail = f"tenant {one.owner_id}: {what} {one.id} was due {rfc3339(one.due_at)}"
        yield Finding(name, "warning", detail, f"Run: {command} {one.id}")
    if not late:
        yield Finding(name, "ok", "none is overdue")


def _notices(settings: "Settings") -> Iterator[Finding]:
    """Notices that recipients do not take, or did not."""
    found = _found(settings, "open_notices")
    if found is None:
        yield _dark("notices")
        return
    from tenure.ids import now, rfc3339  # noqa: PLC0415 - not in the bare install

    well = True
    for one in found:
        if one.dead:
            well = False
            detail = f"tenant {one.tenant_id}: {one.dead} were given up; their recipients were not told"
            remedy = "See tenure notice list --state dead; then tenure notice resend, or tell them otherwise."
            yield Finding("notices", "warning", detail, remedy)
        if one.oldest_at is not None and one.oldest_at < now() - _HOUR_US:
            well = False
            detail = f"tenant {one.tenant_id}: {one.waiting} wait, the oldest since {rfc3339(one.oldest_at)}"
            remedy = "See tenure notice list --state queued: each says what came of its last attempt."
            yield Finding("notices", "warning", detail, remedy)
    if well:
        yield Finding("notices", "ok", "none was given up, none waits for more than an hour")


def _jobs(settings: "Settings") -> Iterator[Finding]:
    """Jobs that fail again and again, or that nobody runs although the cell is served."""
    looked = _found(settings, "job_trouble")
    if looked is None:
        yield _dark("jobs")
        return
    found, served = looked
    from tenure.ids import rfc3339  # noqa: PLC0415 - not in the bare install

    for one in found:
        if one.what == "failing":
            why = f", the last time with {one.error}" if one.error else ""
            detail = f"{one.name} failed or was left {one.failures} times in a row{why}"
            remedy = f"See the server's log about {one.name}; mend it, then run: tenure jobs run {one.name}"
        else:
            detail = f"{one.name} is overdue: it began last at {rfc3339(one.started_at)}"
            remedy = (
                "See the server's log. What runs once in the cell needs a process with "
                "TENURE_CELL_JOBS=true, the default."
            )
        yield Finding("jobs", "warning", detail, remedy)
    if not found:
        detail = "none fails again and again, none is overdue" if served else "nobody serves this cell now"
        yield Finding("jobs", "ok", detail)


def _stored(settings: "Settings", progress: Callable[[str, int, int], None]) -> Iterator[Finding]:
    """Every row against ledger, keys and mirror; whoever serves the cell meanwhile is not disturbed."""
    from tenure import safekeeping  # noqa: PLC0415 - not in the bare install
    from tenure.inspection.inspector import NOT_CHECKED  # noqa: PLC0415 - not in the bare install

    try:
        found = safekeeping.inspect(settings, progress)
    except TenureError as failure:
        yield Finding("stored rows", "failed", f"cannot be inspected: {failure.detail}", failure.remedy or "")
        return
    for one in found[:_MOST]:
        yield Finding("stored rows", "failed", one.line(), _TAMPERED)
    if len(found) > _MOST:
        yield Finding("stored rows", "failed", f"and {len(found) - _MOST} more of these", _TAMPERED)
    if not found:
        yield Finding("stored rows", "ok", "as ledger, keys and mirror say they were written")
    for text in NOT_CHECKED:
        yield Finding("out of sight", "not checked", text)


def _remembered(settings: "Settings") -> Iterator[Finding]:
    """What the mirror knows: it is readable while another process has the database."""
    from tenure.groundwork import remembered  # noqa: PLC0415 - not in the bare install

    try:
        restores, epoch, heads = remembered(settings)
    except TenureError as failure:
        yield Finding("mirror", "failed", failure.detail, failure.remedy or "")
        return
    yield Finding("restores", "ok", f"{restores} seen by this cell (leaf epoch {epoch})")
    for tenant, raw in heads.items():
        try:
            head: dict[str, Any] = json.loads(raw)
            detail = f"{head['size']} entries published, generation {head['generation']}"
        except (ValueError, KeyError):
            yield Finding("ledger", "failed", f"the mirrored head of {tenant} cannot be read")
            continue
        yield Finding("ledger", "ok", f"{tenant}: {detail}")
    if settings.witnesses:
        yield from _cosigned(settings.witnesses, heads)


def _cosigned(witnesses: str, heads: dict[str, bytes]) -> Iterator[Finding]:
    """Whether each log's newest published head has its quorum of witnesses."""
    from tenure.witnesses import read_quorum  # noqa: PLC0415 - not in the bare install

    try:
        quorum = read_quorum(witnesses)
    except TenureError as failure:
        yield Finding("witnesses", "failed", failure.detail, "See docs/witness.md.")
        return
    if quorum is None:
        return
    for tenant, raw in heads.items():
        if not quorum.watches(is_cell=tenant == CELL):
            continue
        try:
            missing = quorum.missing(json.loads(raw)["checkpoint"])
        except (ValueError, KeyError, TenureError):
            continue  # the check of the ledger says so
        there = len(quorum.witnesses) - len(missing)
        detail = f"{tenant}: {there} of {len(quorum.witnesses)} cosigned, quorum {quorum.needed}"
        if there >= quorum.needed:
            yield Finding("witnesses", "ok", detail)
        else:
            names = ", ".join(one.key.name for one in missing)
            remedy = f"The log goes on and offers it again. See the server's log about {names}."
            yield Finding("witnesses", "warning", f"{detail}: not met", remedy)


def _refused(api_key: str | None, url: str | None) -> Iterator[Finding]:
    """Whom the running service refused: it is in that process's memory, and only the operator is told."""
    if not url or not api_key:
        return

    async def ask() -> Any:  # noqa: ANN401 - JSON
        async with Connection(api_key, url) as connection:
            return await connection.call("GET", "/v1/limits/refusals")

    try:
        found = asyncio.run(ask())["items"]
    except TenureError as failure:
        yield Finding(
            "limits", "warning", f"the service does not say: {failure.detail}", failure.remedy or ""
        )
        return
    for one in found:
        detail = f"{one['tenant']}: {one['count']} times over {one['limit']}, last at {one['at']}"
        yield Finding("limits", "warning", detail, "See docs/limits.md; tenure tenant limits changes them.")
    if not found:
        yield Finding("limits", "ok", "the process that answered refused nobody lately")


def _device(place: Path) -> int | None:
    """The file system that a folder is on; None where there is none yet."""
    try:
        return place.stat().st_dev
    except OSError:
        return None


def _inside(one: Path, other: Path) -> bool:
    return one == other or other in one.parents
