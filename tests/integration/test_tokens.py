"""Access tokens of a real issuer: who they lead to, what they may, and that they stop when they must."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from support.cell import SUPPORT, Cell, Tenant
from support.databases import DATABASES
from support.issuer import Issuer as Running
from support.issuer import issuer as running_issuer
from tenure.access import Ask
from tenure.errors import Conflict, Denied, Invalid, NotFound, Unauthenticated, Unavailable
from tenure.ids import CELL
from tenure.model.issuer import Issuer, Provision
from tenure.model.principal import PrincipalKind
from tenure.oidc.refusal import UNTRUSTED

anyio = pytest.mark.anyio
pytestmark = pytest.mark.databases("sqlite")
AGENTS = Provision(PrincipalKind.AGENT, ("support-agent",))


@pytest.fixture
def issuer() -> Iterator[Running]:
    with running_issuer() as found:
        yield found


async def trust(
    cell: Cell,
    issuer: Running,
    *,
    tenant: Tenant | None = None,
    subjects: dict[str, str] | None = None,
    proof: str | None = None,
    replaces: str | None = None,
    **how: Any,
) -> str:
    """Configure the issuer for an audience with the tenant's id in it, or for the given one."""
    tenant = tenant or cell.one
    if "audience" not in how:
        issuer.audience = f"https://tenure.example/{tenant.id}"
    given = {"name": "main", "audience": issuer.audience, **how}
    made = await cell.tenure.issuers.create(
        tenant["admin"],
        Issuer(id="", url=issuer.url, **given),
        subjects=subjects or {},
        proof=proof,
        replaces=replaces,
    )
    return str(made["id"])


async def read(cell: Cell, token: str, key: str = "k") -> str:
    """Read as a token's bearer; the entry's id."""
    credential = await cell.tenure.tokens.credential(token)
    return (await cell.get(key, ask=Ask(credential, SUPPORT))).entry


def entry(cell: Cell, entry_id: str, tenant: Tenant | None = None) -> dict[str, Any]:
    return next(one for one in cell.entries(tenant) if f"{one['writer']}-{one['n']}" == entry_id)


# ── who they are ──────────────────────────────────────────────────────────────────────────────────
@anyio
async def test_a_client_of_the_issuer_is_an_agent_here_from_its_first_token_on(
    cell: Cell, issuer: Running
) -> None:
    await cell.put("k", 1, "customer:1")
    await trust(cell, issuer, provision=AGENTS)
    first = entry(cell, await read(cell, issuer.token("agent-7")))
    second = entry(cell, await read(cell, issuer.token("agent-7")))
    other = entry(cell, await read(cell, issuer.token("agent-8")))
    assert first["principal"] == second["principal"] != other["principal"]
    made = [one for one in cell.entries() if one.get("data", {}).get("change") == "provisioned"]
    assert [one["data"]["principal"] for one in made] == [first["principal"], other["principal"]]
    assert made[0]["data"]["roles"] == ["support-agent"]
    listed = await cell.tenure.principals.every(cell.one["admin"], after="", limit=200)
    found = {one["id"]: one for one in listed["items"]}
    assert found[first["principal"]]["kind"] == "agent"
    # What the issuer calls it is nowhere in the clear.
    assert "agent-7" not in str((cell.entries(), listed, cell.rows("SELECT * FROM identities")))
    assert (await cell.audited()).ok


@anyio
@pytest.mark.databases(*DATABASES)
async def test_many_first_tokens_of_one_subject_make_one_principal(cell: Cell, issuer: Running) -> None:
    await cell.put("k", 1, "customer:1")
    await trust(cell, issuer, provision=AGENTS)
    token = issuer.token()
    entries = await asyncio.gather(*(read(cell, token) for _ in range(8)))
    assert len({entry(cell, one)["principal"] for one in entries}) == 1
    assert len(cell.rows("SELECT * FROM identities")) == 1


@anyio
async def test_without_provision_only_who_was_mapped_gets_in(cell: Cell, issuer: Running) -> None:
    await cell.put("k", 1, "customer:1")
    agent = cell.one.principals["agent"]
    old = await trust(cell, issuer, subjects={"agent-7": agent})
    assert entry(cell, await read(cell, issuer.token("agent-7")))["principal"] == agent
    with pytest.raises(Unauthenticated) as caught:
        await read(cell, issuer.token("agent-8"))
    assert "maps to a principal" in str(caught.value.rule)
    # Mapped to somebody else from now on.
    await trust(cell, issuer, subjects={"agent-7": cell.one.principals["marketer"]}, replaces=old)
    with pytest.raises(Denied):
        await read(cell, issuer.token("agent-7"))


@anyio
async def test_claims_map_to_roles_and_the_principals_own_ones_stay(cell: Cell, issuer: Running) -> None:
    await cell.put("contact", 1, "customer:1")
    await cell.put("travel", 1, "customer:1", categories=("travel",))
    await trust(
        cell,
        issuer,
        provision=Provision(PrincipalKind.PERSON),
        role_claim=("groups",),
        roles=MappingProxyType({"clerks": ("clerk",), "agents": ("support-agent",)}),
    )
    with pytest.raises(Denied):
        await read(cell, issuer.signed(groups=["others"]), "contact")
    assert await read(cell, issuer.signed(groups=["clerks"]), "contact")
    with pytest.raises(Denied):
        await read(cell, issuer.signed(groups=["clerks"]), "travel")
    assert await read(cell, issuer.signed(groups=["clerks", "agents"]), "travel")
    with pytest.raises(Denied):
        await read(cell, issuer.signed(), "contact")


@anyio
async def test_a_delegated_token_may_what_both_may_and_says_so(cell: Cell, issuer: Running) -> None:
    await cell.put("contact", 1, "customer:1")
    await cell.put("travel", 1, "customer:1", categories=("travel",))
    agent, clerk = cell.one.principals["agent"], cell.one.principals["clerk"]
    await trust(cell, issuer, subjects={"robot": agent, "jane": clerk})
    delegated = issuer.signed(sub="jane", act={"sub": "robot"})
    seen = entry(cell, await read(cell, delegated, "contact"))
    assert (seen["principal"], seen["on_behalf_of"]) == (agent, clerk)
    with pytest.raises(Denied):
        await read(cell, delegated, "travel")
    assert await read(cell, issuer.signed(sub="robot"), "travel")
    with pytest.raises(Unauthenticated):
        await read(cell, issuer.signed(sub="jane", act={"sub": "a stranger"}), "contact")
    credential = await cell.tenure.tokens.credential(delegated)
    with pytest.raises(Invalid):
        await cell.get("contact", ask=Ask(replace(credential, on_behalf_of=agent), SUPPORT))
    assert await cell.get("contact", ask=Ask(replace(credential, on_behalf_of=clerk), SUPPORT))


# ── when they stop ────────────────────────────────────────────────────────────────────────────────
@anyio
async def test_the_issuer_rotates_its_keys_while_all_goes_on(cell: Cell, issuer: Running) -> None:
    await cell.put("k", 1, "customer:1")
    await trust(cell, issuer, provision=AGENTS)
    old = issuer.token()
    await read(cell, old)
    source = next(iter(cell.tenure.tokens._sources._sources.values()))
    issuer.rotate()
    source.tried_at = float("-inf")  # as if a moment had passed
    await read(cell, issuer.token())
    await read(cell, old)
    issuer.published = issuer.published[-1:]
    issuer.rotate()
    source.tried_at = float("-inf")
    await read(cell, issuer.token())
    with pytest.raises(Unauthenticated):
        await read(cell, old)


@anyio
async def test_an_issuer_that_cannot_be_asked_is_no_reason_to_believe(cell: Cell, issuer: Running) -> None:
    await trust(cell, issuer, provision=AGENTS)
    issuer.broken = True
    with pytest.raises(Unavailable):
        await read(cell, issuer.token())
    assert cell.rows("SELECT * FROM identities") == []


@anyio
@pytest.mark.databases(*DATABASES)
async def test_a_removed_issuers_token_is_refused_in_the_very_next_transaction(
    cell: Cell, issuer: Running
) -> None:
    await cell.put("k", 1, "customer:1")
    admin = cell.one["admin"]
    issuer_id = await trust(cell, issuer, provision=AGENTS)
    # Another configuration of the same issuer is no reason to go on under the removed one.
    other = await trust(cell, issuer, name="other", audience=f"{cell.one.id}/other")
    credential = await cell.tenure.tokens.credential(issuer.token())
    assert await cell.get("k", ask=Ask(credential, SUPPORT))
    await cell.tenure.issuers.remove(admin, issuer_id)
    # Verified before, and on its way: what was verified no longer counts.
    with pytest.raises(Unauthenticated):
        await cell.get("k", ask=Ask(credential, SUPPORT))
    with pytest.raises(Unauthenticated) as caught:
        await read(cell, issuer.token())
    assert caught.value.rule == UNTRUSTED
    with pytest.raises(NotFound):
        await cell.tenure.issuers.remove(admin, issuer_id)
    assert [one["id"] for one in (await cell.tenure.issuers.every(admin))["items"]] == [other]
    told = [one["data"]["change"] for one in cell.entries() if one["kind"] == "principal.change"]
    assert told[-4:] == ["issuer-added", "issuer-added", "provisioned", "issuer-removed"]


@anyio
async def test_a_disabled_principals_token_is_refused(cell: Cell, issuer: Running) -> None:
    await cell.put("k", 1, "customer:1")
    await trust(cell, issuer, provision=AGENTS)
    token = issuer.token()
    who = entry(cell, await read(cell, token))["principal"]
    await cell.tenure.principals.change(cell.one["admin"], who, disabled=True)
    for one in (token, issuer.token()):
        with pytest.raises(Unauthenticated):
            await read(cell, one)
    assert len(cell.rows("SELECT * FROM identities")) == 1, "and is not made anew"


@anyio
@pytest.mark.databases(*DATABASES)
async def test_a_tenant_that_leaves_is_led_to_by_no_token(cell: Cell, issuer: Running) -> None:
    await cell.put("k", 1, "customer:1")
    await trust(cell, issuer, provision=AGENTS)
    await read(cell, issuer.token())
    credential = await cell.tenure.tokens.credential(issuer.token())
    await cell.tenure.tenants.shred(cell.operator, cell.one.id)
    with pytest.raises(Unauthenticated):
        await cell.get("k", ask=Ask(credential, SUPPORT))
    assert cell.rows("SELECT * FROM issuer_claims") == []
    await cell.tenure.shredder.run()
    for table in ("issuers", "identities", "principals"):
        left = cell.rows(f"SELECT CAST(tenant_id AS TEXT) FROM {table}")
        assert (cell.one.id,) not in left


# ── which tenant ──────────────────────────────────────────────────────────────────────────────────
@anyio
@pytest.mark.databases(*DATABASES)
async def test_no_two_tenants_have_the_same_issuer_and_audience(cell: Cell, issuer: Running) -> None:
    await trust(cell, issuer, provision=AGENTS, audience=issuer.audience, proof=issuer.token())
    with pytest.raises(Conflict) as caught:
        await trust(cell, issuer, tenant=cell.two, audience=issuer.audience, proof=issuer.token())
    assert caught.value.field == "audience"
    with pytest.raises(Conflict):
        await trust(cell, issuer, name="again", audience=issuer.audience, proof=issuer.token())
    assert (await cell.tenure.tokens.credential(issuer.token())).tenant_id == cell.one.id
    (claim,) = cell.rows("SELECT CAST(tenant_id AS TEXT), CAST(id AS TEXT) FROM issuer_claims")
    assert claim == (CELL, cell.one.id)
    # The same issuer for another audience leads to the other tenant.
    await trust(cell, issuer, tenant=cell.two, provision=AGENTS)
    assert (await cell.tenure.tokens.credential(issuer.token())).tenant_id == cell.two.id
    both = issuer.signed(aud=["https://tenure.example", issuer.audience])
    with pytest.raises(Unauthenticated) as refused:
        await cell.tenure.tokens.credential(both)
    assert refused.value.rule == UNTRUSTED, "a token leads to one tenant or to none"


@anyio
@pytest.mark.databases(*DATABASES)
async def test_an_audience_is_not_had_by_asking_first(cell: Cell, issuer: Running) -> None:
    with running_issuer() as other:
        for proof in (
            None,
            "no token",
            other.token(),
            issuer.signed(aud="https://elsewhere.example"),
            issuer.signed(exp=1),
        ):
            with pytest.raises(Invalid) as caught:
                await trust(cell, issuer, audience=issuer.audience, proof=proof)
            assert (caught.value.field, bool(caught.value.rule)) == ("proof", True)
        # Nor by bringing the keys along: the proof is what the issuer's own keys signed.
        forged = other.signed(iss=issuer.url, aud=issuer.audience)
        with pytest.raises(Invalid):
            await trust(cell, issuer, audience=issuer.audience, proof=forged, jwks_uri=f"{other.url}/jwks")
    # An audience with somebody else's tenant id in it is not one's own.
    with pytest.raises(Invalid):
        await trust(cell, issuer, audience=f"https://tenure.example/{cell.two.id}")
    assert cell.rows("SELECT * FROM issuer_claims") == cell.rows("SELECT * FROM issuers") == []


@anyio
async def test_whoever_may_not_configure_asks_nobody(cell: Cell, issuer: Running) -> None:
    for who in ("agent", "dpo", "auditor"):
        with pytest.raises(Denied):
            await cell.tenure.issuers.create(
                cell.one[who],
                Issuer("", "main", issuer.url, issuer.audience),
                subjects={},
                proof=issuer.token(),
            )
    assert [path for path in issuer.asked if path != "/token"] == []


@anyio
async def test_what_cannot_be_configured(cell: Cell, subtests: pytest.Subtests) -> None:
    rows: list[tuple[dict[str, Any], str]] = [
        ({"name": "Not A Label"}, "name"),
        ({"url": "http://issuer.example"}, "issuer"),
        ({"url": "https://me:pw@issuer.example"}, "issuer"),
        ({"url": "https://issuer.example/?x=1"}, "issuer"),
        ({"url": "file:///etc/passwd"}, "issuer"),
        ({"url": "https://issuer.example", "jwks_uri": "http://127.0.0.1:1/keys"}, "jwks_uri"),
        ({"algorithms": ("RS256", "HS256")}, "algorithms"),
        ({"algorithms": ("none",)}, "algorithms"),
        ({"roles": MappingProxyType({"a": ("clerk",)})}, "role_claim"),
        ({"role_claim": ("g",), "roles": MappingProxyType({"a": ("clerk", "nobody")})}, "roles.a[1]"),
        ({"role_claim": ("g",), "roles": MappingProxyType({"a": ("operator",)})}, "roles.a[0]"),
        ({"provision": Provision(PrincipalKind.AGENT, ("nobody",))}, "provision.roles[0]"),
    ]
    for how, field in rows:
        with subtests.test(how=how):
            given = {"name": "main", "url": "http://127.0.0.1:1", "audience": cell.one.id, **how}
            with pytest.raises(Invalid) as caught:
                await cell.tenure.issuers.create(cell.one["admin"], Issuer(id="", **given), subjects={})
            said = caught.value
            assert (said.field, bool(said.rule), bool(said.remedy)) == (field, True, True)


@anyio
async def test_subjects_are_mapped_to_ones_own_principals(cell: Cell, issuer: Running) -> None:
    with pytest.raises(Invalid) as caught:
        await trust(cell, issuer, subjects={"jane@example.com": cell.two.principals["agent"]})
    assert caught.value.field == "subjects"
    assert "jane" not in str(caught.value)


@anyio
@pytest.mark.databases(*DATABASES)
async def test_what_is_configured_is_shown_and_survives_a_restart(place: Cell, issuer: Running) -> None:
    async with place.opened():
        await place.put("k", 1, "customer:1")
        issuer_id = await trust(
            place,
            issuer,
            provision=AGENTS,
            required_scopes=("context",),
            required_claims=MappingProxyType({"tier": ("gold",)}),
            clock_skew_s=5,
        )
        (shown,) = (await place.tenure.issuers.every(place.one["admin"]))["items"]
        assert (shown["id"], shown["issuer"], shown["clock_skew_s"]) == (issuer_id, issuer.url, 5)
        assert shown["provision"] == {"kind": "agent", "roles": ["support-agent"]}
        assert shown["required_claims"] == {"tier": ["gold"]}
    async with place.opened():
        assert await read(place, issuer.signed(scope="context other", tier="gold"))
        with pytest.raises(Unauthenticated):
            await read(place, issuer.signed(scope="other", tier="gold"))
        assert (await place.tenure.issuers.every(place.two["admin"]))["items"] == []
