"""Keys that end and are narrower than their principal; principals that change; acting for others."""

from dataclasses import replace
from typing import Any

import pytest

from support.cell import NOTES, SCOPE, SUPPORT, Cell
from support.databases import DATABASES
from tenure import ids
from tenure.access import Ask
from tenure.errors import Conflict, Denied, Invalid, NotFound, TenureError, Unauthenticated
from tenure.governance.principals import NewKey
from tenure.listing import Query
from tenure.model.apikey import parse_api_key
from tenure.model.principal import Credential, PrincipalKind
from tenure.tenancy import authenticate

anyio = pytest.mark.anyio
pytestmark = pytest.mark.databases("sqlite")
HOUR = 3_600_000_000


async def made(
    cell: Cell, who: str = "agent", *, expires_at: int | None = None, **reach: tuple[str, ...]
) -> Credential:
    """One more key of somebody's."""
    new = NewKey(expires_at, reach or None)  # type: ignore[arg-type]
    principals = cell.tenure.principals
    key = await principals.add_credential(cell.one["admin"], cell.one.principals[who], new=new)
    return parse_api_key(key["api_key"])


async def may(
    cell: Cell, credential: Credential, *, scope: str = SCOPE, purpose: str = SUPPORT
) -> dict[str, bool]:
    """What a credential may do with the record `k` of a scope."""
    ask, gateway = Ask(credential, SUPPORT), cell.tenure.gateway
    tries: dict[str, Any] = {
        "read": lambda: gateway.read(ask, scope, "k"),
        "write": lambda: cell.put("k", 1, "customer:1", scope=scope, ask=ask),
        "list": lambda: gateway.query(ask, scope, Query()),
    }
    found = {}
    for action, attempt in tries.items():
        try:
            await attempt()
        except Denied:
            found[action] = False
        else:
            found[action] = True
    return found


ALL = {"read": True, "write": True, "list": True}
NOTHING = dict.fromkeys(ALL, False)


# ── keys that end ─────────────────────────────────────────────────────────────────────────────────
@anyio
@pytest.mark.databases(*DATABASES)
async def test_a_key_ends_at_its_instant_though_it_is_remembered(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    ends = ids.now() + HOUR
    key = await made(cell, expires_at=ends)
    assert await may(cell, key) == ALL

    def at(instant: int) -> str:
        tenancies = cell.tenure.decisions._tenancies
        return cell.tenure._database.read(
            cell.one.id, lambda tx: authenticate(tx, tenancies.current(tx), key, instant).id
        )

    assert at(ends - 1) == cell.one.principals["agent"]
    for instant in (ends, ends + HOUR):
        with pytest.raises(Unauthenticated) as caught:
            at(instant)
        assert caught.value.rule == "expires_at"
    assert at(ends - 1), "the clock decides, not who asked last"


@anyio
async def test_an_expired_key_does_nothing(cell: Cell) -> None:
    key = await made(cell, expires_at=ids.now() + HOUR)
    cell.change("UPDATE credentials SET expires_at = :at WHERE expires_at IS NOT NULL", at=ids.now() - 1)
    with pytest.raises(Unauthenticated):
        await cell.get("k", ask=Ask(key, SUPPORT))
    with pytest.raises(Unauthenticated):
        await cell.tenure.decisions.get(key, ids.new_id())
    listed = await cell.tenure.principals.credentials(cell.one["admin"], cell.one.principals["agent"])
    assert [one["expires_at"] is not None for one in listed["items"]] == [False, True]
    assert not any(secret in str(listed) for secret in (key.secret_hash, "tnr_"))


# ── keys that are narrower ────────────────────────────────────────────────────────────────────────
@anyio
async def test_a_reach_narrows_and_never_widens(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    await cell.put("k", 1, "customer:1", scope=NOTES)
    assert await may(cell, await made(cell, actions=("read", "list"))) == {**ALL, "write": False}
    only_notes = await made(cell, scopes=(NOTES,))
    assert await may(cell, only_notes) == NOTHING
    assert await may(cell, only_notes, scope=NOTES) == ALL
    below = await made(cell, scopes=("support.*",))
    assert await may(cell, below) == await may(cell, below, scope=NOTES) == ALL
    assert await may(cell, await made(cell, purposes=("service",))) == ALL, "what is below a purpose, too"
    assert await may(cell, await made(cell, purposes=("marketing",))) == NOTHING
    assert await may(cell, await made(cell, roles=())) == NOTHING
    assert await may(cell, await made(cell, actions=("read", "list", "write"), scopes=("**",))) == ALL
    # A wide limit gives nothing that the principal has not.
    wide = await made(cell, "marketer", scopes=("**",), actions=("read", "write", "list", "delete"))
    assert await may(cell, wide) == NOTHING


@anyio
@pytest.mark.databases(*DATABASES)
async def test_a_limit_counts_for_what_is_listed_in_sql(cell: Cell) -> None:
    """The marketer's role sees contact data for marketing; a key without that purpose sees no row of it."""
    await cell.put("k", 1, "customer:1")
    await cell.put("t", 1, "customer:1", categories=("travel",))
    full = await cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query(include_content=True))
    assert (len(full.items), full.withheld) == (2, 0)
    # May list, may not read: contents are not fetched, and that they are there is counted.
    key = await made(cell, actions=("list",))
    page = await cell.tenure.gateway.query(Ask(key, SUPPORT), SCOPE, Query(include_content=True))
    assert (page.items, page.withheld) == ([], 2)
    page = await cell.tenure.gateway.query(Ask(key, SUPPORT), SCOPE, Query())
    assert len(page.items) == 2


@anyio
async def test_a_reach_holds_for_governing_too(cell: Cell) -> None:
    subject = await cell.put("k", 1, "customer:1") and await cell.person("customer:1")
    reader = await made(cell, "dpo", actions=("read",))
    assert (await cell.tenure.subjects.get(reader, subject))["id"] == subject
    with pytest.raises(Denied):
        await cell.tenure.subjects.shred(reader, subject)
    content_only = await made(cell, "dpo", scopes=("**",))
    with pytest.raises(Denied):
        await cell.tenure.subjects.get(content_only, subject)
    auditor = await made(cell, "auditor", scopes=("tenure.decisions",))
    with pytest.raises(Denied):
        await cell.tenure.ledger.key(auditor)
    assert [one["outcome"] for one in cell.entries()].count("denied") == 3


@anyio
async def test_a_limit_that_can_only_be_a_slip(cell: Cell, subtests: pytest.Subtests) -> None:
    rows: list[tuple[dict[str, Any], str]] = [
        ({"roles": ("dpo",)}, "reach.roles[0]"),
        ({"scopes": (NOTES, "a..b")}, "reach.scopes[1]"),
        ({"purposes": ("fun",)}, "reach.purposes[0]"),
        ({"actions": ("read", "raed")}, "reach.actions[1]"),
    ]
    for reach, field in rows:
        with subtests.test(reach=reach):
            with pytest.raises(Invalid) as caught:
                await made(cell, **reach)
            said = caught.value
            assert (said.field, bool(said.rule), bool(said.remedy)) == (field, True, True)


@anyio
async def test_who_is_narrowed_gives_nobody_rights(cell: Cell) -> None:
    admin = cell.one["admin"]
    page = await cell.tenure.principals.every(admin, after="", limit=50)
    me = next(one["id"] for one in page["items"] if one["roles"] == ["tenant-admin"])
    key = await cell.tenure.principals.add_credential(
        admin, me, new=NewKey(reach={"roles": ("tenant-admin",)})
    )
    narrow = parse_api_key(key["api_key"])
    acting = replace(admin, on_behalf_of=cell.one.principals["dpo"])
    agent, verbs = cell.one.principals["agent"], cell.tenure.principals
    for caller, refusal in ((narrow, Conflict), (acting, Denied)):
        for attempt in (
            lambda caller: verbs.add_credential(caller, me),
            lambda caller: verbs.create(caller, "x", PrincipalKind.AGENT, ("tenant-admin",)),
            lambda caller: verbs.change(caller, agent, roles=("tenant-admin",)),
        ):
            with pytest.raises(refusal):
                await attempt(caller)
    assert (await verbs.every(narrow, after="", limit=1))["items"]


# ── principals that change ────────────────────────────────────────────────────────────────────────
@anyio
@pytest.mark.databases(*DATABASES)
async def test_other_roles_hold_from_the_next_transaction_on(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    agent, admin = cell.one.principals["agent"], cell.one["admin"]
    assert await may(cell, cell.one["agent"]) == ALL
    changed = await cell.tenure.principals.change(admin, agent, roles=("marketer",))
    assert changed["roles"] == ["marketer"]
    assert await may(cell, cell.one["agent"]) == NOTHING
    await cell.tenure.principals.change(admin, agent, roles=("support-agent", "clerk", "clerk"))
    assert await may(cell, cell.one["agent"]) == ALL
    told = [one["data"] for one in cell.entries() if one["kind"] == "principal.change"][-2:]
    assert [(one["change"], one["principal"], one["roles"]) for one in told] == [
        ("roles", agent, ["marketer"]),
        ("roles", agent, ["clerk", "support-agent"]),
    ]


@anyio
async def test_a_narrowed_key_follows_its_principals_roles(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    admin, agent = cell.one["admin"], cell.one.principals["agent"]
    key = await made(cell, roles=("support-agent",))
    await cell.tenure.principals.change(admin, agent, roles=("clerk",))
    assert await may(cell, key) == NOTHING, "the role is the principal's no more"
    await cell.tenure.principals.change(admin, agent, roles=("support-agent",))
    assert await may(cell, key) == ALL


@anyio
@pytest.mark.databases(*DATABASES)
async def test_a_disabled_principal_is_nobody_until_it_is_enabled(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    admin, agent = cell.one["admin"], cell.one.principals["agent"]
    spare = await made(cell)
    assert (await cell.tenure.principals.change(admin, agent, disabled=True))["disabled_at"]
    for key in (cell.one["agent"], spare):
        with pytest.raises(Unauthenticated):
            await cell.get("k", ask=Ask(key, SUPPORT))
    assert (await cell.tenure.principals.change(admin, agent, disabled=True))["disabled_at"]
    await cell.tenure.principals.change(admin, agent, disabled=False)
    assert await may(cell, spare) == ALL
    told = [one["data"]["change"] for one in cell.entries() if one["kind"] == "principal.change"]
    assert told[-2:] == ["disabled", "enabled"], "what changes nothing makes no entry"


@anyio
async def test_changes_that_are_refused(cell: Cell) -> None:
    admin, verbs = cell.one["admin"], cell.tenure.principals
    page = await verbs.every(admin, after="", limit=50)
    me = next(one["id"] for one in page["items"] if one["roles"] == ["tenant-admin"])
    for how in ({"disabled": True}, {"roles": ("dpo",)}):
        with pytest.raises(Conflict) as caught:
            await verbs.change(admin, me, **how)  # type: ignore[arg-type]
        assert caught.value.field == "id"
    with pytest.raises(Invalid) as wrong:
        await verbs.change(admin, cell.one.principals["agent"], roles=("clerk", "operator"))
    assert wrong.value.field == "roles[1]"
    for stranger in (cell.two.principals["agent"], ids.new_id(), "x"):
        with pytest.raises(NotFound):
            await verbs.change(admin, stranger, disabled=True)


# ── on whose behalf ───────────────────────────────────────────────────────────────────────────────
@anyio
async def test_acting_for_somebody_is_on_record_and_takes_both_rights(cell: Cell) -> None:
    await cell.put("contact", 1, "customer:1")
    await cell.put("travel", 1, "customer:1", categories=("travel",))
    agent, clerk = cell.one["agent"], cell.one.principals["clerk"]
    ask = Ask(replace(agent, on_behalf_of=clerk), SUPPORT)
    found = await cell.get("contact", ask=ask)
    (entry,) = [one for one in cell.entries() if f"{one['writer']}-{one['n']}" == found.entry]
    assert (entry["principal"], entry["on_behalf_of"]) == (cell.one.principals["agent"], clerk)
    assert [rule.partition("#")[0] for rule in entry["rules"]] == [
        "grant/agents-work",
        "grant/clerks-contact",
    ]
    with pytest.raises(Denied):
        await cell.get("travel", ask=ask)
    denied = [one for one in cell.entries() if one["outcome"] == "denied"][-1]
    assert denied["on_behalf_of"] == clerk
    page = await cell.tenure.gateway.query(ask, SCOPE, Query())
    assert ([one.key for one in page.items], page.withheld) == (["contact"], 1)
    # The other way round: the clerk gets nothing by acting for the agent.
    asked = Ask(replace(cell.one["clerk"], on_behalf_of=cell.one.principals["agent"]), SUPPORT)
    with pytest.raises(Denied):
        await cell.get("travel", ask=asked)
    assert "on_behalf_of" not in cell.entries()[0]
    assert (await cell.audited()).ok


@anyio
async def test_governing_for_somebody(cell: Cell) -> None:
    dpo, auditor = cell.one["dpo"], cell.one.principals["auditor"]
    acting = replace(dpo, on_behalf_of=auditor)
    assert await cell.tenure.ledger.key(replace(cell.one["auditor"], on_behalf_of=auditor))
    with pytest.raises(Denied):
        await cell.tenure.holds.place(acting, "scope", SCOPE, "a case")
    assert [one for one in cell.entries() if one.get("on_behalf_of") == auditor]


@anyio
async def test_nobody_is_acted_for_who_is_not_there(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    gone = cell.one.principals["marketer"]
    await cell.tenure.principals.change(cell.one["admin"], gone, disabled=True)
    for stranger in (ids.new_id(), cell.two.principals["agent"], gone):
        before = len(cell.entries())
        with pytest.raises(TenureError) as caught:
            await cell.get("k", ask=Ask(replace(cell.one["agent"], on_behalf_of=stranger), SUPPORT))
        assert (caught.value.kind, caught.value.field) == ("invalid", "Tenure-On-Behalf-Of")
        assert len(cell.entries()) == before
    me = replace(cell.one["agent"], on_behalf_of=cell.one.principals["agent"])
    assert (await cell.get("k", ask=Ask(me, SUPPORT))).key == "k", "for oneself is for nobody else"
    assert not [one for one in cell.entries() if "on_behalf_of" in one]
