"""Nobody gets in who should not: every call of the API, by every kind of caller that may not make it.

A call without a row here fails the test. The list of exemptions may only shrink. In it are
probes, the API's own document, metrics, which name nobody (`test_http_metrics`), and what a person reaches
with a link (`test_http_packages`).
"""

import base64
import functools
from typing import Any, NamedTuple

import pytest
from litestar.routes import HTTPRoute

from conftest import SCOPE, SUPPORT, World, record
from support.lived import EMERGENCY
from tenure.model.apikey import parse_api_key

EXEMPT = {"isAlive", "isReady", "get_openapi", "get_metrics", "getPackagePage", "fetchPackage"}
"""The last two are for who has a link and no credential: test_http_packages."""
SECRET = "canary-of-acme"


class Row(NamedTuple):
    """A call that `right` may make. `wrong` gets `refusal`; the same role elsewhere gets `elsewhere`."""

    method: str
    path: str
    right: str
    wrong: str
    body: dict[str, Any] | None = None
    text: str | None = None
    refusal: int = 403
    elsewhere: int = 404


DRAFT = {"content": 1, "subjects": ["customer:9"], "categories": ["contact"]}
BOUND = {"scope": SCOPE, "subjects": ["customer:1"], "categories": ["contact"]}
THREAD, DOOMED = ({"scope": SCOPE, "thread": one} for one in ("a thread", "doomed"))
CHURNED = {"scope": SCOPE, "event": "customer.churned", "subject": "customer:1"}
KEPT = {
    "apiVersion": "tenure/v1",
    "kind": "Retention",
    "metadata": {"name": "churned"},
    "spec": {
        "scopes": [SCOPE],
        "categories": ["contact"],
        "clock": "event",
        "event": CHURNED["event"],
        "deleteAfter": "30d",
    },
}
ASKED = {"role": "rescuer", "minutes": 5, "reason": SECRET}
PROPOSAL = {
    "manifests": [
        {"apiVersion": "tenure/v1", "kind": "Retention", "metadata": {"name": "short"}}
        | {"spec": {"scopes": ["**"], "categories": "*", "deleteAfter": "1d"}}
    ]
}
NEW_PRINCIPAL = {"name": "x", "kind": "agent", "roles": []}
# Any head that was published: <size> and <root> are of the newest.
EVIDENCE = '{"index_sha256": "%s", "files": 1, "size": <size>, "root": "<root>"}' % ("0" * 64)
HEAD = {"<acme>": "", "<size>": "1", "<root>": ""}
QUESTION = {"scope": SCOPE, "categories": ["contact"], "purpose": "customer-support", "action": "read"}
# An audience with a tenant's id in it is that tenant's alone.
ISSUER = '{"name": "main", "issuer": "https://issuer.example", "audience": "https://tenure.example/<acme>"}'
NOBODY = "00000000-0000-7000-8000-000000000000"

# 200 elsewhere: it works on the caller's own tenant, and shows nothing of this one (checked below).
ROWS = {
    "putRecord": Row("PUT", record("new"), "agent", "lead", body=DRAFT, elsewhere=201),
    "getRecord": Row("GET", record("known"), "agent", "lead"),
    "deleteRecord": Row("DELETE", record("doomed"), "agent", "lead"),
    "listVersions": Row("GET", record("known/versions"), "agent", "dpo", elsewhere=200),
    "queryRecords": Row(
        "POST", f"/v1/scopes/{SCOPE}/records:query", "agent", "auditor", body={}, elsewhere=200
    ),
    "getRecordByBody": Row(
        "POST", "/v1/records:get", "agent", "admin", body={"scope": SCOPE, "key": "known"}
    ),
    "putSnapshot": Row(
        "POST",
        "/v1/threads/snapshots:put",
        "agent",
        "auditor",
        body={**BOUND, "thread": "new", "snapshot": {"id": "one"}},
        elsewhere=201,
    ),
    "putWrites": Row(
        "POST",
        "/v1/threads/writes:put",
        "agent",
        "auditor",
        body={**BOUND, "thread": "newer", "snapshot": "one", "task": "first", "writes": []},
        elsewhere=201,
    ),
    "getSnapshot": Row("POST", "/v1/threads/snapshots:get", "agent", "auditor", body=THREAD),
    "querySnapshots": Row(
        "POST", "/v1/threads/snapshots:query", "agent", "auditor", body={"scope": SCOPE}, elsewhere=200
    ),
    "deleteThread": Row("POST", "/v1/threads:delete", "agent", "auditor", body=DOOMED, elsewhere=200),
    "copyThread": Row(
        "POST",
        "/v1/threads:copy",
        "agent",
        "auditor",
        body={"scope": SCOPE, "source": THREAD["thread"], "target": "a copy"},
        elsewhere=200,
    ),
    "pruneThread": Row("POST", "/v1/threads:prune", "agent", "auditor", body=THREAD, elsewhere=200),
    "deleteRun": Row(
        "POST",
        "/v1/threads/runs:delete",
        "agent",
        "auditor",
        body={"scope": SCOPE, "run": "doomed"},
        elsewhere=200,
    ),
    "retrieveRecords": Row(
        "POST", "/v1/retrievals", "agent", "auditor", body={"scope": SCOPE}, elsewhere=200
    ),
    "retrieveSubject": Row("POST", "/v1/subjects/{subject}:retrieve", "dpo", "agent"),
    "getRetrieval": Row("GET", "/v1/retrievals/{retrieval}", "agent", "lead", refusal=404),
    # Whoever may call may decide; what it reads is judged access by access.
    "openDecision": Row(
        "POST",
        "/v1/decisions",
        "agent",
        "nonsense",
        body={"purpose": "customer-support"},
        refusal=401,
        elsewhere=201,
    ),
    "sealDecision": Row(
        "POST", "/v1/decisions/{open}:seal", "agent", "lead", body={"outcome": "ok"}, refusal=404
    ),
    "getDecision": Row("GET", "/v1/decisions/{sealed}", "auditor", "lead", refusal=404),
    "getDecisionContext": Row("GET", "/v1/decisions/{sealed}/context", "agent", "lead", refusal=404),
    "getDecisionOpenings": Row("GET", "/v1/decisions/{sealed}/openings", "agent", "dpo", refusal=404),
    "getDecisionReceipt": Row("GET", "/v1/decisions/{sealed}/receipt", "auditor", "dpo", refusal=404),
    "replayDecision": Row("POST", "/v1/decisions/{sealed}:replay", "auditor", "agent", body={}),
    "explainPolicy": Row(
        "POST", "/v1/policy:explain", "admin", "dpo", body={"roles": ["acme"], **QUESTION}, elsewhere=200
    ),
    "applyManifests": Row("POST", "/v1/manifests:apply", "admin", "agent", text=SUPPORT, elsewhere=200),
    "listManifests": Row("GET", "/v1/manifests/role", "admin", "agent", elsewhere=200),
    "getManifest": Row("GET", "/v1/manifests/role/acme-only", "admin", "auditor"),
    "diffManifests": Row("POST", "/v1/manifests:diff", "admin", "auditor", text=SUPPORT, elsewhere=200),
    # The schema itself is no secret; whoever declares nothing has no use for the call.
    "getManifestSchema": Row("GET", "/v1/manifests:schema?kind=role", "admin", "agent", elsewhere=200),
    "describeManifest": Row("GET", "/v1/manifests/role/acme-only:describe", "admin", "dpo"),
    "listConfigurations": Row("GET", "/v1/manifests:history", "admin", "auditor", elsewhere=200),
    "rollbackManifests": Row(
        "POST", "/v1/manifests:rollback", "admin", "dpo", body={"generation": 2}, elsewhere=404
    ),
    "createPrincipal": Row("POST", "/v1/principals", "admin", "dpo", body=NEW_PRINCIPAL, elsewhere=201),
    "listPrincipals": Row("GET", "/v1/principals", "admin", "agent", elsewhere=200),
    "changePrincipal": Row("PATCH", "/v1/principals/{acme-lead}", "admin", "dpo", body={"disabled": False}),
    "createCredential": Row("POST", "/v1/principals/{acme-lead}/credentials", "admin", "lead"),
    "listCredentials": Row("GET", "/v1/principals/{acme-lead}/credentials", "admin", "lead"),
    "revokeCredential": Row("DELETE", "/v1/principals/{acme-lead}/credentials/{spare}", "admin", "agent"),
    "addIssuer": Row("POST", "/v1/issuers", "admin", "dpo", text=ISSUER, elsewhere=422),
    "listIssuers": Row("GET", "/v1/issuers", "admin", "auditor", elsewhere=200),
    "removeIssuer": Row("DELETE", "/v1/issuers/{issuer}", "admin", "agent"),
    "createTenant": Row("POST", "/v1/tenants", "operator", "admin", body={"name": "mine"}, elsewhere=403),
    "setTenantLimits": Row(
        "PUT", "/v1/tenants/{tenant}/limits", "operator", "admin", body={"requests": 9}, elsewhere=403
    ),
    "getTenantLimits": Row("GET", "/v1/tenants/{tenant}/limits", "operator", "dpo", elsewhere=403),
    "setCredentialLimits": Row(
        "PUT", "/v1/principals/{acme-lead}/credentials/{spare}/limits", "admin", "lead", body={"requests": 9}
    ),
    "getCredentialLimits": Row(
        "GET", "/v1/principals/{acme-lead}/credentials/{spare}/limits", "admin", "agent"
    ),
    "getLimits": Row("GET", "/v1/limits", "admin", "agent", elsewhere=200),
    "listRefusals": Row("GET", "/v1/limits/refusals", "operator", "admin", elsewhere=403),
    "getRootStore": Row("GET", "/v1/rootstore", "operator", "dpo", elsewhere=403),
    "listJobs": Row("GET", "/v1/jobs", "operator", "admin", elsewhere=403),
    "runJob": Row("POST", "/v1/jobs/rederive:run", "operator", "dpo", elsewhere=403),
    "getLifecycle": Row("GET", "/v1/lifecycle", "operator", "admin", elsewhere=403),
    "applyLifecycle": Row("POST", "/v1/lifecycle:apply", "operator", "dpo", body={}, elsewhere=403),
    "getStorage": Row("GET", "/v1/storage?by=day", "admin", "agent", elsewhere=200),
    "getTenantStorage": Row("GET", "/v1/tenants/{tenant}/storage", "operator", "dpo", elsewhere=403),
    "forecastStorage": Row("GET", "/v1/storage:forecast?days=9", "dpo", "auditor", elsewhere=200),
    # What a tenant declares is looked at by who may declare it.
    "forecastProposed": Row("POST", "/v1/storage:forecast", "admin", "dpo", body=PROPOSAL, elsewhere=200),
    "previewRetention": Row("POST", "/v1/retention:preview", "admin", "dpo", body=PROPOSAL, elsewhere=200),
    "rotateRootKey": Row("POST", "/v1/rootstore:rotate", "operator", "admin", elsewhere=403),
    "rotateLedgerKey": Row("POST", "/v1/ledger:rotate-key", "admin", "auditor", body={}, elsewhere=200),
    "migrateRootKey": Row("POST", "/v1/rootstore:migrate", "operator", "auditor", elsewhere=403),
    "lookupSubject": Row(
        "POST", "/v1/subjects:lookup", "dpo", "agent", body={"ref": "customer:1"}, elsewhere=200
    ),
    "getSubject": Row("GET", "/v1/subjects/{subject}", "dpo", "admin"),
    "shredSubject": Row("POST", "/v1/subjects/{doomed}:shred", "dpo", "agent"),
    "shredTenant": Row("POST", "/v1/tenants/{tenant}:shred", "operator", "admin", elsewhere=403),
    "previewShred": Row("GET", "/v1/subjects/{subject}/impact", "dpo", "auditor"),
    "scanForResidue": Row(
        "POST", "/v1/shreds/{shred}:scan", "dpo", "auditor", body={"values": ["Ada Lovelace"]}
    ),
    "listShreds": Row("GET", "/v1/shreds", "dpo", "agent", elsewhere=200),
    "placeHold": Row(
        "POST",
        "/v1/holds",
        "dpo",
        "admin",
        body={"by": "scope", "target": SCOPE, "ground": "x"},
        elsewhere=201,
    ),
    "listHolds": Row("GET", "/v1/holds", "dpo", "agent", elsewhere=200),
    "getHold": Row("GET", "/v1/holds/{hold}", "dpo", "auditor"),
    "releaseHold": Row("POST", "/v1/holds/{hold}:release", "dpo", "lead"),
    # Of a person of one tenant, under a rule that only this tenant has.
    "postEvent": Row("POST", "/v1/events", "agent", "lead", body=CHURNED, elsewhere=422),
    # Any person asks, and sees their own; who decides is said by the role.
    "requestElevation": Row("POST", "/v1/breakglass", "asker", "agent", body=ASKED, elsewhere=422),
    "listElevations": Row("GET", "/v1/breakglass", "asker", "nonsense", refusal=401, elsewhere=200),
    "getElevation": Row("GET", "/v1/breakglass/{asked}", "dpo", "agent", refusal=404),
    "approveElevation": Row("POST", "/v1/breakglass/{asked}:approve", "second", "asker"),
    "refuseElevation": Row("POST", "/v1/breakglass/{unwanted}:refuse", "second", "asker"),
    "endElevation": Row("POST", "/v1/breakglass/{running}:end", "third", "auditor"),
    "reviewElevation": Row(
        "POST", "/v1/breakglass/{over}:review", "second", "third", body={"outcome": "justified"}
    ),
    "openRequest": Row(
        "POST", "/v1/requests", "dpo", "agent", body={"type": "access", "reference": "a:1"}, elsewhere=201
    ),
    "listRequests": Row("GET", "/v1/requests?state=received", "auditor", "admin", elsewhere=200),
    "findRequests": Row(
        "POST", "/v1/requests:find", "dpo", "auditor", body={"reference": "customer:1"}, elsewhere=200
    ),
    "getRequest": Row("GET", "/v1/requests/{received}", "auditor", "admin"),
    "getRequestCase": Row("GET", "/v1/requests/{received}/case", "dpo", "auditor"),
    "noteRequest": Row("POST", "/v1/requests/{received}:note", "dpo", "auditor", body={"text": "x"}),
    "acknowledgeRequest": Row("POST", "/v1/requests/{received}:acknowledge", "dpo", "admin"),
    "identifyRequest": Row(
        "POST", "/v1/requests/{identify}:identify", "dpo", "auditor", body={"method": "login"}
    ),
    "scopeRequest": Row("POST", "/v1/requests/{scope}:scope", "dpo", "auditor"),
    # Whoever opened it has every right but this one.
    "approveRequest": Row("POST", "/v1/requests/{approve}:approve", "decider", "opener"),
    "refuseRequest": Row(
        "POST", "/v1/requests/{refuse}:refuse", "decider", "opener", body={"ground": "12.5-excessive"}
    ),
    "withdrawRequest": Row("POST", "/v1/requests/{withdraw}:withdraw", "dpo", "auditor"),
    "pauseRequest": Row("POST", "/v1/requests/{pause}:pause", "dpo", "admin", body={"reason": "identity"}),
    "resumeRequest": Row("POST", "/v1/requests/{resume}:resume", "dpo", "agent"),
    "extendRequest": Row(
        "POST", "/v1/requests/{extend}:extend", "dpo", "auditor", body={"reason": "complexity"}
    ),
    "concludeRequest": Row(
        "POST", "/v1/requests/{conclude}:conclude", "decider", "opener", body={"outcome": "upheld"}
    ),
    "liftRequest": Row("POST", "/v1/requests/{lift}:lift", "decider", "opener"),
    "linkRequest": Row("POST", "/v1/requests/{link}:link", "dpo", "auditor"),
    "listNotices": Row("GET", "/v1/notices?state=dead", "dpo", "auditor", elsewhere=200),
    "resendNotice": Row("POST", "/v1/notices/{notice}:resend", "dpo", "admin"),
    "listRederivations": Row("GET", "/v1/rederivations?state=pending", "dpo", "auditor", elsewhere=200),
    "getRegister": Row("GET", "/v1/register", "dpo", "agent", elsewhere=200),
    "getShred": Row("GET", "/v1/shreds/{shred}", "dpo", "auditor"),
    "getCertificate": Row("GET", "/v1/certificates/{certificate}", "auditor", "agent"),
    "getLedgerKey": Row("GET", "/v1/ledger/key", "auditor", "agent", elsewhere=200),
    "getCheckpoint": Row("GET", "/v1/ledger/checkpoint", "auditor", "dpo", elsewhere=200),
    "getTile": Row("GET", "/v1/ledger/tile/0/000.p/1", "auditor", "agent", elsewhere=200),
    "listGenerations": Row("GET", "/v1/ledger/generations", "auditor", "agent", elsewhere=200),
    "getKeptCheckpoint": Row("GET", "/v1/ledger/checkpoints/1000000", "auditor", "lead", elsewhere=200),
    "getAccessList": Row("GET", "/v1/ledger/access-lists/{list}", "auditor", "dpo"),
    "getPolicy": Row("GET", "/v1/policies/{policy}", "auditor", "dpo"),
    "listCertificates": Row("GET", "/v1/certificates", "auditor", "admin", elsewhere=200),
    "signEvidence": Row("POST", "/v1/evidence", "auditor", "admin", text=EVIDENCE, elsewhere=422),
    # An entry's receipt is for whoever it is about; hashes and keys are for everybody in the tenant.
    "getKeyRotations": Row("GET", "/v1/ledger/rotations", "lead", "nonsense", refusal=401, elsewhere=200),
    "getEntryReceipt": Row("GET", "/v1/ledger/entries/{entry}/receipt", "agent", "lead", refusal=404),
    "getConsistency": Row(
        "GET", "/v1/ledger/consistency?old=1&new=1", "lead", "nonsense", refusal=401, elsewhere=200
    ),
    "getPopulation": Row("GET", "/v1/ledger/populations?kind=write", "auditor", "dpo", elsewhere=200),
    "listEntries": Row("GET", "/v1/ledger/entries", "auditor", "agent", elsewhere=200),
}


@pytest.fixture(scope="module", autouse=True)
def furnished(world: World) -> World:
    """The world with all that `ROWS` names."""
    return furnish(world)


def furnish(world: World) -> World:
    """Things in `acme` that a stranger would like to reach."""
    for key, subject in (("known", "customer:1"), ("doomed", "customer:2"), ("gone", "customer:3")):
        written = world.put(key, SECRET, subject=subject).json()
        world.ids[f"record {key}"] = written["record"]
        world.ids["entry"] = written["entry"]
    value = {"version": 1, "pieces": [{"base64": base64.b64encode(SECRET.encode()).decode()}]}
    for thread in (THREAD, DOOMED):
        run = {"run": thread["thread"], "metadata": {"run_id": thread["thread"]}}
        body = {**BOUND, **thread, "snapshot": {"id": "one", "channels": {"talk": value}, **run}}
        world.ok("agent", "POST", "/v1/threads/snapshots:put", json=body)
    role = {"apiVersion": "tenure/v1", "kind": "Role", "metadata": {"name": "acme-only"}}
    world.ok("admin", "POST", "/v1/manifests:apply", json={**role, "spec": {"description": SECRET}})
    world.ok("admin", "POST", "/v1/manifests:apply", json=KEPT)
    for ref, name in (("customer:1", "subject"), ("customer:2", "doomed"), ("customer:3", "gone")):
        found = world.ok("dpo", "POST", "/v1/subjects:lookup", json={"ref": ref})
        world.ids[name] = found["items"][0]["id"]
    world.ids["retrieval"] = world.ok("agent", "POST", "/v1/retrievals", json={"scope": SCOPE})["id"]
    hold = {"by": "scope", "target": SCOPE, "ground": "a case"}
    world.ids["hold"] = world.ok("dpo", "POST", "/v1/holds", json=hold)["id"]
    world.ids["tenant"] = world.ok("operator", "POST", "/v1/tenants", json={"name": "leaving"})["id"]
    world.ids["shred"] = world.ok("dpo", "POST", f"/v1/subjects/{world.ids['gone']}:shred")["shred"]
    for name in ("open", "sealed"):
        opened = world.ok("agent", "POST", "/v1/decisions", json={"purpose": "customer-support"})
        world.ids[name] = opened["id"]
    world.ok("agent", "GET", record("known"), headers={"Tenure-Decision": world.ids["sealed"]})
    world.ok("agent", "POST", f"/v1/decisions/{world.ids['sealed']}:seal", json={"outcome": "ok"})
    made = world.ok("admin", "POST", f"/v1/principals/{world.ids['acme-lead']}/credentials")
    world.ids["spare"], world.keys["revoked"] = made["id"], made["api_key"]
    world.ok("admin", "POST", f"/v1/principals/{world.ids['acme-lead']}/credentials")
    world.call("admin", "DELETE", f"/v1/principals/{world.ids['acme-lead']}/credentials/{made['id']}")
    certificate = world.until("dpo", f"/v1/shreds/{world.ids['shred']}", lambda shred: "certificate" in shred)
    world.ids["certificate"] = certificate["certificate"]
    role |= {"metadata": {"name": "acme-too"}, "spec": {"description": "another"}}
    emergencies(world)
    asked(world)
    world.ids["notice"] = world.dead_notice()
    world.ids["policy"] = world.ok("admin", "POST", "/v1/manifests:apply", json=role)["policy"]
    for n in range(65):
        world.put(f"many{n}", 1)
    world.ok(
        "agent", "POST", f"/v1/scopes/{SCOPE}/records:query", json={"limit": 200, "include": ["content"]}
    )
    mine = f"/v1/ledger/entries?kind=access&principal={world.ids['acme-agent']}&limit=200"
    page = world.until("auditor", mine, lambda page: "accesses_sha256" in str(page))
    named = (one["entry"].get("accesses_sha256") for one in page["items"])
    world.ids["list"] = next(digest for digest in named if digest is not None)
    for who in ("auditor", "other-auditor"):
        world.until(who, "/v1/ledger/entries", lambda page: page["items"])
        world.published(who)
    HEAD["<acme>"] = parse_api_key(world.keys["acme-admin"]).tenant_id
    body = {"name": "old", "issuer": "https://old.example", "audience": HEAD["<acme>"]}
    world.ids["issuer"] = world.ok("admin", "POST", "/v1/issuers", json=body)["id"]
    head = world.call("auditor", "GET", "/v1/ledger/checkpoint").text.splitlines()
    HEAD.update({"<size>": head[1], "<root>": base64.b64decode(head[2]).hex()})
    return world


def asked(world: World) -> None:
    """Rights requests in several states, opened by somebody who may do all but decide on them."""
    for name in ("opener", "decider"):
        for tenant in ("acme", "other"):
            body = {"name": name, "kind": "person", "roles": ["dpo"]}
            made = world.ok(f"{tenant}-admin", "POST", "/v1/principals", json=body)
            world.keys[name if tenant == "acme" else f"other-{name}"] = made["api_key"]

    def opened(name: str, kind: str = "access", **more: Any) -> str:
        body = {"type": kind, "reference": "customer:1", **more}
        world.ids[name] = world.ok("opener", "POST", "/v1/requests", json=body)["id"]
        return f"/v1/requests/{world.ids[name]}"

    for name in ("received", "identify", "refuse", "withdraw", "pause", "extend"):
        opened(name)
    world.ok("opener", "POST", f"{opened('resume')}:pause", json={"reason": "identity"})
    paths = [opened("scope"), opened("approve"), opened("conclude", "decision-review"), opened("link")]
    paths.append(opened("lift", "objection", purposes=["marketing"]))
    for path in paths:
        world.ok("opener", "POST", f"{path}:identify", json={"method": "login"})
    for path in paths[1:]:
        world.ok("opener", "POST", f"{path}:scope")
    for path in paths[2:]:
        world.ok("decider", "POST", f"{path}:approve")
    world.carry_out()


def emergencies(world: World) -> None:
    """Elevations in several states, of persons who exist in both tenants."""
    world.ok("admin", "POST", "/v1/manifests:apply", content=EMERGENCY)
    for name, role in (("asker", "support-agent"), ("second", "support-lead"), ("third", "support-lead")):
        for tenant in ("acme", "other"):
            body = {"name": name, "kind": "person", "roles": [role]}
            made = world.ok(f"{tenant}-admin", "POST", "/v1/principals", json=body)
            world.keys[name if tenant == "acme" else f"other-{name}"] = made["api_key"]
    for name, who in (("asked", "asker"), ("unwanted", "asker"), ("over", "third"), ("running", "third")):
        world.ids[name] = world.ok(who, "POST", "/v1/breakglass", json=ASKED)["id"]
    world.ok("second", "POST", f"/v1/breakglass/{world.ids['over']}:approve")
    world.ok("third", "POST", f"/v1/breakglass/{world.ids['over']}:end")
    world.ok("second", "POST", f"/v1/breakglass/{world.ids['running']}:approve")


def ask(world: World, row: Row, who: str | None, headers: dict[str, str] | None = None) -> Any:
    path = row.path.format(**world.ids)
    more: dict[str, Any] = {} if row.body is None else {"json": row.body}
    if row.text is not None:
        more["content"] = functools.reduce(lambda text, part: text.replace(*part), HEAD.items(), row.text)
    headers = {"Tenure-Purpose": "customer-support", **(headers or {})}
    return world.call(who, row.method, path, headers=headers, **more)


def test_every_call_has_a_row(world: World) -> None:
    served = {
        handler.operation_id or handler.handler_name
        for route in world.client.app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if "OPTIONS" not in handler.http_methods
    }
    assert served == {*ROWS, *EXEMPT}


@pytest.mark.parametrize("call", ROWS)
@pytest.mark.parametrize("who", [None, "nonsense", "revoked"])
def test_without_a_live_credential_nothing_happens(world: World, call: str, who: str | None) -> None:
    answer = ask(world, ROWS[call], who)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["type"] == "urn:tenure:problem:unauthenticated"
    assert SECRET not in answer.text


@pytest.mark.parametrize("call", ROWS)
def test_the_wrong_role_is_refused(world: World, call: str) -> None:
    answer = ask(world, ROWS[call], ROWS[call].wrong)

    assert answer.status_code == ROWS[call].refusal, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert SECRET not in answer.text


@pytest.mark.parametrize("call", ROWS)
def test_another_tenants_caller_of_the_right_role_reaches_nothing_here(world: World, call: str) -> None:
    row = ROWS[call]
    # The operator belongs to the cell: for its call the stranger is a tenant's administrator.
    answer = ask(world, row, "other-admin" if row.right == "operator" else f"other-{row.right}")

    assert answer.status_code == row.elsewhere, answer.text
    assert SECRET not in answer.text
    assert not [
        name for name, value in world.ids.items() if not name.startswith("other") and value in answer.text
    ]


# Last: what destroys what others act on; a head of before a change of key is not signed.
LAST = {"shredSubject", "deleteRecord", "sealDecision", "rotateLedgerKey"}


@pytest.mark.parametrize("call", sorted(ROWS, key=lambda call: (call in LAST, call)))
def test_the_right_role_is_let_in(world: World, call: str) -> None:
    """The positive control: refusals above are about the caller, not about a broken request."""
    row = ROWS[call]
    if call == "revokeCredential":
        made = world.ok("admin", "POST", f"/v1/principals/{world.ids['acme-lead']}/credentials")
        row = row._replace(path=f"/v1/principals/{world.ids['acme-lead']}/credentials/{made['id']}")

    # Let in, and then told that there is no second root store to move between.
    expected = (409,) if call == "migrateRootKey" else (200, 201, 202, 204)
    assert ask(world, row, row.right).status_code in expected
