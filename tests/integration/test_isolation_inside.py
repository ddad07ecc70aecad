"""Whoever uses a cell in process meets the same border as over HTTP: every call that takes a credential.

The calls are found by looking at what a cell offers (`bootstrap.Tenure`), so a new one is tried, too. A
parameter is filled by its name: with what is the first tenant's, and with what is nobody's, under the
second tenant's credentials.
"""

import asyncio
import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select

from support.cell import SCOPE, Cell, Tenant
from support.databases import DATABASES
from support.lived import live, rounds
from support.notices import dead
from tenure import ids
from tenure.access import Ask
from tenure.bootstrap import Tenure
from tenure.decisions import Opening
from tenure.errors import TenureError
from tenure.governance.evidence import Index
from tenure.governance.explaining import About
from tenure.governance.populations import Wanted
from tenure.ledger.selection import Selection
from tenure.listing import Query
from tenure.model.breakglass import State
from tenure.model.deadlines import ExtensionReason, PauseReason
from tenure.model.issuer import Issuer
from tenure.model.principal import Credential, PrincipalKind
from tenure.model.record import Draft
from tenure.model.rightsrequest import Ground, Kind, Method
from tenure.model.thread import Bound, NewSnapshot, NewWrites
from tenure.reconstruction import Chosen
from tenure.rights.receiving import NewRequest
from tenure.store import tables
from tenure.store.log import Search
from tenure.threads.pages import Wanted as ThreadsWanted

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]

ROLE = "apiVersion: tenure/v1\nkind: Role\nmetadata: {name: %s}\nspec: {description: a role}\n"
CALLERS = ("agent", "admin", "dpo", "auditor")
NOT_CALLS = {
    "ledger.read": "what the other calls of the ledger are made of: it runs what it is given",
}

ISSUER = Issuer(id="", name="", url="https://issuer.example", audience="")

Names = dict[str, str]
NAMED: dict[str, Callable[[Names], Any]] = {
    "certificate_id": lambda names: names["certificate"],
    "credential_id": lambda names: names["credential"],
    "decision_id": lambda names: names["decision"],
    "digest": lambda names: names["digest"],
    "elevation_id": lambda names: names["elevation"],
    "entry_id": lambda names: names["entry"],
    "issuer": lambda names: replace(ISSUER, name=names["issuer name"], audience=names["audience"]),
    "issuer_id": lambda names: names["issuer"],
    "policy": lambda names: names["digest"],
    "replaces": lambda names: names["spare issuer"],
    "subjects": lambda names: {"somebody": names["principal"]},
    "hold_id": lambda names: names["hold"],
    "key": lambda names: names["key"],
    "principal_id": lambda names: names["principal"],
    "reference": lambda names: names["reference"],
    "request_id": lambda names: names["request"],
    "scope": lambda names: names["scope"],
    "shred_id": lambda names: names["shred"],
    "subject_id": lambda names: names["subject"],
    "target": lambda names: names["subject"],
    "tenant_id": lambda names: names["tenant"],
    "after": lambda names: names["principal"],
    "before": lambda names: names["shred"],
    "chosen": lambda names: Chosen(frozenset([names["entry"]]), frozenset([names["record"]])),
    "draft": lambda names: Draft(b"1", (names["reference"],), ("contact",), derived_from=(names["version"],)),
    "wanted": lambda names: Query(subject=names["reference"], prefix=names["key"]),
    "filters": lambda names: Search(
        kind=None,
        since=None,
        until=None,
        principal_id=names["principal"],
        decision_id=names["decision"],
    ),
    "opening": lambda names: Opening("customer-support", names["reference"]),
    "idempotency_key": lambda names: names["once"],
    "thread": lambda names: names["thread"],
    "source": lambda names: names["thread"],
    "bound": lambda names: Bound(("contact",), (names["reference"],)),
}
"""Parameters that name something, by their name."""
NAMED_IN = {
    "breakglass.refuse.elevation_id": lambda names: names["elevation to refuse"],
    "breakglass.end.elevation_id": lambda names: names["active elevation"],
    "breakglass.review.elevation_id": lambda names: names["ended elevation"],
    "breakglass.request.role": lambda names: names["emergency role"],
    "requests.identify.request_id": lambda names: names["request to identify"],
    "requests.scope.request_id": lambda names: names["request to scope"],
    "requests.approve.request_id": lambda names: names["request to approve"],
    "requests.refuse.request_id": lambda names: names["request to refuse"],
    "requests.withdraw.request_id": lambda names: names["request to withdraw"],
    "requests.resume.request_id": lambda names: names["request to resume"],
    "requests.pause.request_id": lambda names: names["request to pause"],
    "requests.extend.request_id": lambda names: names["request to extend"],
    "requests.conclude.request_id": lambda names: names["request to conclude"],
    "requests.lift.request_id": lambda names: names["request to lift"],
    "requests.link.request_id": lambda names: names["request to link"],
    "requests.open.new": lambda names: NewRequest(Kind.ACCESS, names["reference"]),
    "requests.page.before": lambda names: names["request"],
    "notices.resend.notice_id": lambda names: names["dead notice"],
    "notices.page.request_id": lambda names: names["rights request"],
    "notices.page.before": lambda names: names["dead notice"],
    "breakglass.page.before": lambda names: names["elevation"],
    "explaining.explain.about": lambda names: About(decision=names["decision"]),
    "manifests.describe.name": lambda names: names["manifest"],
    "populations.page.wanted": lambda names: Wanted(
        Selection(principal=names["principal"], decision=names["decision"]), None, None
    ),
    "manifests.every.name": lambda names: names["manifest"],
    "gateway.history.before": lambda _: 9,
    "principals.create.name": lambda names: names["key"],
    "tenants.create.name": lambda names: names["key"],
    "gateway.write.scope": lambda _: SCOPE,
    "configurations.history.before": lambda _: 9,
    "threads.put.new": lambda _: NewSnapshot("another", None, {}),
    "threads.put_writes.new": lambda _: NewWrites("another", "a task", ()),
    "threads.page.wanted": lambda names: ThreadsWanted(names["thread"]),
    "threads.copy.target": lambda names: f"a copy of {names['thread']}",
    "evidence.certificates.after": lambda names: names["certificate"],
}
PLAIN: dict[str, Any] = {
    "at": None,
    "event": "customer.left",
    "condition": None,
    "cursor": None,
    "days": 7,
    "disabled": False,
    "generation": 4,
    "given": {"requests": 9_999_999},
    "look": lambda _policy: None,
    "method": Method.LOGIN,
    "minutes": 5,
    "overdue": False,
    "states": None,
    "note": "asked them",
    "proof": None,
    "prune": False,
    "reason": "a case",
    "index": Index("0" * 64, 1, 1, "0" * 64),
    "kind": PrincipalKind.AGENT,
    "limit": 5,
    "new": 1,
    "old": 1,
    "once": None,
    "outcome": "ok",
    "output_sha256": None,
    "path": "tile/0/000.p/1",
    "roles": ("clerk",),
    "size": 1_000_000,
    "values": ["Ada Lovelace"],
    "ground": "a case",
    "dry_run": True,
    "version": None,
    "as_of": None,
    "name": "a-name",
    "state": None,
    "moving": False,
    "accept": False,
    "at_once": False,
    "scan": False,
    "cell": False,
    "ledger": "keep",
    "text": ROLE % "a-role",
    "namespace": "",
    "snapshot": None,
    "run": "a run",
}
"""Parameters that name nothing of anybody's."""
PLAIN_IN = {
    "breakglass.get.after": None,
    "manifests.describe.kind": "Role",
    "manifests.schema.kind": "Role",
    "manifests.every.kind": "Role",
    "holds.place.kind": "subject",
    "requests.page.kind": None,
    "requests.pause.reason": PauseReason.IDENTITY,
    "requests.extend.reason": ExtensionReason.COMPLEXITY,
    "requests.conclude.outcome": "upheld",
    "requests.refuse.ground": Ground.EXCESSIVE,
    "requests.note.text": "a note",
    "principals.every.after": "",  # a place in the caller's own list, whoever had an id there
}


class Way(NamedTuple):
    """A call in process: `<part>.<verb>`."""

    part: str
    verb: str

    @property
    def name(self) -> str:
        return f"{self.part}.{self.verb}"


def ways() -> Iterator[tuple[Way, Any]]:
    """Every public coroutine of a part of a cell that takes a credential first."""
    for part, kind in sorted(parts().items()):
        for verb, function in inspect.getmembers(kind, inspect.iscoroutinefunction):
            parameters = list(inspect.signature(function).parameters.values())[1:]
            takes = parameters and parameters[0].annotation in (Ask, Credential, "Ask", "Credential")
            if not verb.startswith("_") and takes and f"{part}.{verb}" not in NOT_CALLS:
                yield Way(part, verb), parameters


def parts() -> dict[str, type]:
    """Part → class, as the composition root assigns them: `self.<part> = <Class>(…)`."""
    source = inspect.getsource(Tenure._build) + inspect.getsource(Tenure._build_rights)
    found = re.findall(r"self\.([a-z][a-z_]*) = ([A-Z]\w+)\(", source)
    module = inspect.getmodule(Tenure)
    return {part: getattr(module, kind) for part, kind in found}


WAYS = dict(ways())
_WRITES = ("gateway.write", "gateway.delete", "decisions.open", "threads.put", "threads.put_writes")
READS_FIRST = sorted(WAYS, key=lambda way: way.name in _WRITES)


def filled(way: Way, parameters: list[inspect.Parameter], who: Any, names: Names) -> tuple[list[Any], Names]:
    """The arguments of a call under these names."""
    positional: list[Any] = [who]
    keyword: dict[str, Any] = {}
    for one in parameters[1:]:
        place = f"{way.name}.{one.name}"
        if place in PLAIN_IN:
            value = PLAIN_IN[place]
        elif place in NAMED_IN:
            value = NAMED_IN[place](names)
        elif one.name in NAMED:
            value = NAMED[one.name](names)
        else:
            assert one.name in PLAIN, f"say what {place} names: NAMED or PLAIN in this file"
            value = PLAIN[one.name]
        if one.kind is inspect.Parameter.KEYWORD_ONLY:
            keyword[one.name] = value
        else:
            positional.append(value)
    return positional, keyword


@pytest.fixture
async def theirs(cell: Cell) -> Names:
    """What is the first tenant's, by what it names; all of it published."""
    tenant = cell.one
    await live(cell)
    scope = (
        "apiVersion: tenure/v1\nkind: Scope\nmetadata: {name: support.only-one}\n"
        "spec: {description: d, controller: acme, categories: [contact], subjects: optional}\n"
    )
    declared = f"{ROLE % 'only-one'}---\n{scope}"
    policy = (await cell.tenure.manifests.apply(tenant["admin"], declared, dry_run=False))["policy"]
    elevations = await every_step(cell)
    requests = await every_request(cell)
    given_up = await dead(cell.tenure, tenant.id)
    audience = f"https://one.example/{tenant.id}"
    first = replace(ISSUER, name="first-of-one", audience=f"{audience}/first")
    issuer = replace(ISSUER, name="issuer-of-one", audience=audience)
    made, spare = [
        await cell.tenure.issuers.create(tenant["admin"], new, subjects={}) for new in (first, issuer)
    ]
    await cell.put("key-of-one", 1, "customer:one", scope="support.only-one")
    written = await cell.put("key-of-one", 1, "customer:one", idempotency_key="once-of-one")
    bound, new = Bound(("contact",), ("customer:one",)), NewSnapshot("a snapshot", None, {})
    await cell.tenure.threads.put(tenant.ask(), "support.only-one", "thread-of-one", "", bound, new)
    await rounds(cell)
    # From here on nothing is published beside the calls, so that both of a pair meet the same log.
    cell.tenure.sequencer.wake = lambda _tenant_id: None  # type: ignore[method-assign]

    def one(sql: str) -> str:
        return str(cell.rows(f"{sql} AND CAST(tenant_id AS TEXT) = :t LIMIT 1", t=tenant.id)[0][0])

    return {
        **elevations,
        **requests,
        "dead notice": given_up.id,
        "rights request": given_up.request_id,
        "emergency role": "rescuer",
        "issuer": made["id"],
        "spare issuer": spare["id"],
        "issuer name": issuer.name,
        "audience": audience,
        "tenant": tenant.id,
        "scope": "support.only-one",
        "key": "key-of-one",
        "thread": "thread-of-one",
        "once": "once-of-one",
        "manifest": "only-one",
        "reference": "customer:one",
        "record": written.record,
        "version": written.version_id,
        "entry": written.entry,
        "digest": policy,
        "principal": tenant.principals["clerk"],
        "subject": await cell.person("customer:one"),
        "credential": one(
            "SELECT CAST(id AS TEXT) FROM credentials WHERE CAST(principal_id AS TEXT) ="
            f" '{tenant.principals['clerk']}'"
        ),
        "decision": one("SELECT CAST(id AS TEXT) FROM decisions WHERE sealed_at IS NOT NULL"),
        "hold": one("SELECT CAST(id AS TEXT) FROM holds WHERE state = 'active'"),
        "shred": one("SELECT CAST(id AS TEXT) FROM shreds WHERE certificate_id IS NOT NULL"),
        "certificate": one("SELECT CAST(id AS TEXT) FROM certificates WHERE created_at > 0"),
    }


async def every_request(cell: Cell) -> Names:
    """A rights request for each step that can be taken with one. Whoever opened them decides on none."""
    requests, one = cell.tenure.requests, cell.one
    names: Names = {}

    async def opened(what: str, kind: Kind = Kind.ACCESS, *, purposes: tuple[str, ...] = ()) -> str:
        new = NewRequest(kind, "customer:1", purposes=purposes)
        names[what] = str((await requests.open(one["second"], new))["id"])
        return names[what]

    for what in ("request", *(f"request to {one}" for one in ("identify", "refuse", "withdraw", "pause"))):
        await opened(what)
    await opened("request to extend")
    await requests.pause(one["second"], await opened("request to resume"), PauseReason.IDENTITY)
    await requests.identify(one["second"], await opened("request to scope"), Method.LOGIN)
    for made in (
        await opened("request to approve"),
        await opened("request to conclude", Kind.DECISION_REVIEW),
        await opened("request to lift", Kind.OBJECTION, purposes=("marketing",)),
        await opened("request to link"),
    ):
        await requests.identify(one["second"], made, Method.LOGIN)
        await requests.scope(one["second"], made)
        if made != names["request to approve"]:
            await requests.approve(one["dpo"], made)
    await cell.tenure.rights.run()
    return names


async def every_step(cell: Cell) -> Names:
    """An elevation for each step that can be taken with one, beside those of `live`."""
    desk, one = cell.tenure.breakglass, cell.one
    running = await desk.page(one["dpo"], state=State.ACTIVE, before=None, limit=9)
    (ended,) = (found["id"] for found in running["items"])
    await desk.end(one["clerk"], ended)
    active, open_, unwanted = [
        (await desk.request(one[who], "rescuer", 5, "a case"))["id"]
        for who in ("clerk", "auditor", "auditor")
    ]
    await desk.approve(one["dpo"], active)
    return {
        "ended elevation": ended,
        "active elevation": active,
        "elevation": open_,
        "elevation to refuse": unwanted,
    }


def nobodys(theirs: Names) -> Names:
    """The same names, of nobody."""

    def another(value: str) -> str:
        if ids.is_id(value):
            return ids.new_id()
        if value.startswith("sha256:"):
            return "sha256:" + "5" * 64
        if re.fullmatch(r"[0-9a-f]{16}-\d+", value):
            return "ab" * 8 + "-1"
        if "/" in value:  # an audience, with the tenant's id in it
            return f"https://two.example/{ids.new_id()}"
        return value.replace("one", "two")

    return {what: another(value) for what, value in theirs.items()}


async def outcome(cell: Cell, way: Way, tenant: Tenant, caller: str, names: Names) -> tuple[str, str]:
    """(what a caller is told, the same with what was made for it taken out)."""
    parameters = WAYS[way]
    takes_ask = parameters[0].annotation in (Ask, "Ask")
    who = tenant.ask(caller) if takes_ask else tenant[caller]
    positional, keyword = filled(way, parameters, who, names)
    try:
        result = await getattr(getattr(cell.tenure, way.part), way.verb)(*positional, **keyword)
        raw = f"{type(result).__name__} {plain(result)}"
    except TenureError as refusal:
        members = {key: getattr(refusal, key, None) for key in ("detail", "field", "rule", "remedy", "entry")}
        raw = f"{type(refusal).__name__} {json.dumps(members)}"
    text = raw
    for what, value in names.items():
        text = text.replace(value, f"<{what}>")
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<id>", text)
    text = re.sub(r"\b[0-9a-f]{16}-\d+\b|tnr_[\w-]+|\b[0-9a-f]{64}\b", "<made>", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z|\b\d{15,}\b", "<time>", text)
    return raw, text


def plain(result: Any) -> str:
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        result = dataclasses.asdict(result)
    if isinstance(result, bytes):
        return result.decode("latin-1")
    return json.dumps(result, default=repr, sort_keys=True)


def rows_of(cell: Cell, tenant: Tenant) -> dict[str, list[str]]:
    with cell.raw() as connection:
        return {
            table.name: sorted(
                repr(tuple(row))
                for row in connection.execute(select(table).where(table.c.tenant_id == tenant.id))
            )
            for table in tables.metadata.sorted_tables
        }


@pytest.mark.databases(*DATABASES)
async def test_what_is_anothers_is_answered_as_what_is_nobodys(cell: Cell, theirs: Names) -> None:
    nobody = nobodys(theirs)
    wrong: list[str] = []
    before = rows_of(cell, cell.one)
    for way in READS_FIRST:
        for caller in CALLERS:
            raw, asked = await outcome(cell, way, cell.two, caller, theirs)
            _, missing = await outcome(cell, way, cell.two, caller, nobody)
            where = f"{way.name} by the other tenant's {caller}"
            if asked != missing:
                wrong.append(f"{where}: {asked} != {missing}")
            for value in theirs.values():
                raw = raw.replace(value, "")
            wrong += [f"{where} shows {one}" for one in cell.one.principals.values() if one in raw]
    assert not wrong, "\n".join(wrong)
    assert rows_of(cell, cell.one) == before


LAST = ("threads.delete", "gateway.delete", "principals.revoke", "subjects.shred", "ledger_keys.rotate")
FOR_THE_OPERATOR = {
    *("tenants.create", "tenants.shred", "root_keys.status", "root_keys.rotate"),
    *("limits.declare", "limits.of_tenant", "limits.refused"),
}
NOT_NOW = {
    "evidence.sign": "not the newest head",
    "evidence.access_list": "the digest is of a policy",
    "decisions.seal": "it is sealed",
    "decisions.openings": "the decision read something else",
}


async def test_at_home_the_same_calls_succeed(cell: Cell, theirs: Names) -> None:
    """Or the test above would compare one refusal with another."""
    refused: list[str] = []
    todo = [way for way in WAYS if way.name not in {*FOR_THE_OPERATOR, *NOT_NOW}]
    for way in sorted(todo, key=lambda way: way.name in LAST and LAST.index(way.name) + 1):
        told = [(await outcome(cell, way, cell.one, caller, theirs))[0] for caller in CALLERS]
        if all(re.match(r"Denied|NotFound|Invalid|Malformed|Conflict|Unauth", one) for one in told):
            refused.append(f"{way.name}: {told}")
    assert not refused, "\n".join(refused)


@pytest.mark.databases(*DATABASES)
async def test_side_by_side_they_share_no_answer(cell: Cell) -> None:
    """Both tenants' requests at once: batches of the two never mix."""
    for tenant, value in ((cell.one, "one's"), (cell.two, "two's")):
        await cell.put("same", value, "customer:1", tenant=tenant)
    reads = [cell.value("same", tenant=tenant) for _ in range(40) for tenant in (cell.one, cell.two)]
    found = await asyncio.gather(*reads)
    assert found == ["one's", "two's"] * 40
