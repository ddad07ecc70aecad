"""Every role, every call, targets in every state: what the service really answered, in a file for auditors.

The calls are those of `test_http_not_allowed.ROWS`, made in process by a caller of each built-in role and
each role of the shipped templates, for the purpose that the role works for. To write the file anew after a
deliberate change:

    TENURE_REWRITE_GOLDEN=1 .venv/bin/pytest tests/surfaces/test_http_golden.py

and review what is different.
"""

import json
import os
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from test_http_not_allowed import EXEMPT, LAST, NOBODY, ROWS, Row, ask, furnish
from test_http_not_allowed import HEAD as SENT

from conftest import ROLES, SCOPE, World, record
from tenure.cli.folder import manifest_files

TOP = Path(__file__).parents[2]
GOLDEN = TOP / "tests" / "vectors" / "policy" / "api-roles.txt"
TEMPLATES = manifest_files(TOP / "policies" / "templates")
HEAD = """Who may do what: every role x every call of the API x the states of its target, and the answer.

Written by tests/surfaces/test_http_golden.py from real answers; CI fails when one differs. The roles of the
templates (policies/templates) work for the purpose in brackets; each call states that purpose. A line is an
answer (HTTP status, and the kind of a refusal) and everybody who gets it. Agents have the roles of agents,
people the others. Nobody has the role for emergencies of their own: incident-responder is a person with no
other role, who asked for it and was approved. No limit of rates is set.

  404 not-found for what exists means that this caller is not told whether it exists.
  "another tenant's" is a call by a caller of the same role in another tenant: nothing there is what gets it.
"""

PURPOSES = {
    "support-agent": "customer-support",
    "support-lead": "quality",
    "newsletter-agent": "newsletter",
    "analyst-agent": "analytics",
    "incident-responder": "emergency",
    "dpo": "data-protection",
}
NOBODY_AT_ALL, NO_ROLE, OPERATOR = "(no credential)", "(no role)", "operator"
BUILT_IN = ("dpo", "auditor", "tenant-admin", OPERATOR)
NO_ROLE_PERSON = "(person, no role)"
PEOPLE = (NO_ROLE_PERSON, "support-lead", "incident-responder", "dpo", "auditor", "tenant-admin")
ELEVATED = "incident-responder"
CALLERS = (NOBODY_AT_ALL, NO_ROLE, NO_ROLE_PERSON, *[role for role in PURPOSES if role != "dpo"], *BUILT_IN)

# A new target for each caller where an answer would spend it, and where two callers would meet.
Fresh = Callable[[World], dict[str, str]]


class State(NamedTuple):
    """A target in some state: another path or body, further headers."""

    name: str
    path: str = ""
    body: dict[str, Any] | None = None
    headers: dict[str, str] | None = None


def _key(role: str) -> str | None:
    if role in PEOPLE:
        return f"person-{role.strip('()').replace(', ', '-').replace(' ', '-')}"
    keys = {name: who for who, name in ROLES.items()} | {NO_ROLE: "no-role"}
    return None if role == NOBODY_AT_ALL else keys.get(role, role)


# ── the world ─────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def limits() -> dict[str, int]:
    """None: what is asked is asked by quick programs."""
    names = ("requests", "bytes", "records", "concurrent", "strangers", "reserve")
    return {f"limit_{name}": 0 for name in names}


@pytest.fixture(scope="module", autouse=True)
def furnished(world: World) -> World:
    """What the rows name, all templates, a caller of each role in both tenants, further targets."""
    furnish(world)
    for tenant in ("acme", "other"):
        for template in TEMPLATES:
            world.ok(f"{tenant}-admin", "POST", "/v1/manifests:apply", content=template.read_text())
        for role in CALLERS:
            if role not in {NOBODY_AT_ALL, OPERATOR}:
                _hire(world, tenant, role)
        emergency = elevation(world, f"{tenant}-{_key(ELEVATED)}", minutes=60)
        approve(world, tenant, emergency)
    world.put("ill", 1, subject="customer:4", json={"categories": ["health"]})
    world.put("removed", 1, subject="customer:5")
    world.call("agent", "DELETE", record("removed"))
    world.put("kept", 1, subject="customer:7")
    world.ids["held person"] = person(world, "customer:7")
    hold = {"by": "subject", "target": world.ids["held person"], "ground": "a case"}
    world.ok("dpo", "POST", "/v1/holds", json=hold)
    world.ids["ended hold"] = world.ok("dpo", "POST", "/v1/holds", json=hold)["id"]
    world.ok("dpo", "POST", f"/v1/holds/{world.ids['ended hold']}:release")
    for key in ("erased", "erased-too"):
        world.put(key, 1, subject="customer:6")
    world.ids["erased person"] = person(world, "customer:6")
    erase(world, world.ids["erased person"])
    for name in ("elevation asked for", "refused elevation"):
        world.ids[name] = elevation(world, _somebody(world))
    path = f"/v1/breakglass/{world.ids['refused elevation']}:refuse"
    world.ok(str(_key("dpo")), "POST", path)
    world.ids |= {
        "elevation running": _new_running(world)["running"],
        "elevation over": _new_over(world)["over"],
    }
    return world


def _hire(world: World, tenant: str, role: str) -> None:
    """A caller of a role, in a tenant; whoever is to be elevated has none."""
    who, kind = str(_key(role)), "person" if role in PEOPLE else "agent"
    if f"{tenant}-{who}" not in world.keys:
        roles = [] if role in {NO_ROLE, NO_ROLE_PERSON, ELEVATED} else [role]
        body = {"name": who, "kind": kind, "roles": roles}
        made = world.ok(f"{tenant}-admin", "POST", "/v1/principals", json=body)
        world.keys[f"{tenant}-{who}"] = made["api_key"]
    if tenant == "acme":
        world.keys[who] = world.keys[f"{tenant}-{who}"]


def elevation(world: World, who: str, minutes: int = 5) -> str:
    """The id of a request for the role for emergencies."""
    body = {"role": ELEVATED, "minutes": minutes, "reason": "a customer is in danger"}
    return str(world.ok(who, "POST", "/v1/breakglass", json=body)["id"])


def approve(world: World, tenant: str, asked: str) -> None:
    """A second person, who has a role that may, says yes."""
    world.ok(f"{tenant}-{_key('dpo')}", "POST", f"/v1/breakglass/{asked}:approve")


def _somebody(world: World) -> str:
    """A new person, who has no elevation yet."""
    name = f"somebody{len(world.keys)}"
    made = world.ok("admin", "POST", "/v1/principals", json={"name": name, "kind": "person", "roles": []})
    world.keys[name] = made["api_key"]
    return name


def person(world: World, reference: str) -> str:
    """A subject's id."""
    found = world.ok("dpo", "POST", "/v1/subjects:lookup", json={"ref": reference})
    return str(found["items"][0]["id"])


def erase(world: World, subject: str) -> None:
    """See an erasure through."""
    shred = world.ok("dpo", "POST", f"/v1/subjects/{subject}:shred")["shred"]
    world.until("dpo", f"/v1/shreds/{shred}", lambda shred: "certificate" in shred)


def _new_record(world: World) -> dict[str, str]:
    key = f"fresh{len(world.ids)}"
    world.ids[key] = key
    world.put(key, 1)
    return {"fresh": key}


def _new_person(world: World) -> dict[str, str]:
    key = _new_record(world)["fresh"]
    world.put(key, 1, subject=f"customer:{key}")
    return {"doomed": person(world, f"customer:{key}")}


def _new_hold(world: World) -> dict[str, str]:
    body = {"by": "subject", "target": world.ids["held person"], "ground": "a case"}
    return {"hold": world.ok("dpo", "POST", "/v1/holds", json=body)["id"]}


def _new_credential(world: World) -> dict[str, str]:
    path = f"/v1/principals/{world.ids['acme-lead']}/credentials"
    return {"spare": world.ok("admin", "POST", path)["id"]}


def _new_decision(world: World) -> dict[str, str]:
    return {"open": world.ok("agent", "POST", "/v1/decisions", json={"purpose": "customer-support"})["id"]}


def _new_tenant(world: World) -> dict[str, str]:
    return {"tenant": world.ok("operator", "POST", "/v1/tenants", json={"name": "leaving"})["id"]}


def _new_request(world: World) -> dict[str, str]:
    return {"asked": elevation(world, _somebody(world))}


def _new_unwanted(world: World) -> dict[str, str]:
    return {"unwanted": elevation(world, _somebody(world))}


def _new_running(world: World) -> dict[str, str]:
    asked = _new_request(world)["asked"]
    approve(world, "acme", asked)
    return {"running": asked}


def _new_over(world: World) -> dict[str, str]:
    running = _new_running(world)["running"]
    world.ok(str(_key("dpo")), "POST", f"/v1/breakglass/{running}:end")
    return {"over": running}


def _new_issuer(world: World) -> dict[str, str]:
    """One that was not removed yet: a tenant has few at most."""
    there = [one["id"] for one in world.ok("admin", "GET", "/v1/issuers")["items"]]
    if there:
        return {"issuer": there[0]}
    body = {"name": "again", "issuer": "https://again.example", "audience": SENT["<acme>"]}
    return {"issuer": world.ok("admin", "POST", "/v1/issuers", json=body)["id"]}


def _new_notice(world: World) -> dict[str, str]:
    return {"notice": world.dead_notice()}


def _new_name(world: World) -> dict[str, str]:
    world.ids["name"] = f"name{len(world.ids)}"
    world.ids[world.ids["name"]] = ""
    return {}


FRESH: dict[str, Fresh] = {
    "deleteRecord": _new_record,
    "shredSubject": _new_person,
    "releaseHold": _new_hold,
    "revokeCredential": _new_credential,
    "sealDecision": _new_decision,
    "shredTenant": _new_tenant,
    "createPrincipal": _new_name,
    "approveElevation": _new_request,
    "refuseElevation": _new_unwanted,
    "endElevation": _new_running,
    "reviewElevation": _new_over,
    "removeIssuer": _new_issuer,
    "resendNotice": _new_notice,
}
PRESENT: dict[str, Row] = {
    "deleteRecord": ROWS["deleteRecord"]._replace(path=record("{fresh}")),
    # A hold on a person: one on the whole scope would keep what later calls erase.
    "placeHold": ROWS["placeHold"]._replace(body={"by": "subject", "target": "{held person}", "ground": "x"}),
    "createPrincipal": ROWS["createPrincipal"]._replace(
        body={"name": "{name}", "kind": "agent", "roles": []}
    ),
    "requestElevation": ROWS["requestElevation"]._replace(
        body={"role": ELEVATED, "minutes": 5, "reason": "a customer is in danger"}
    ),
    "getElevation": ROWS["getElevation"]._replace(path="/v1/breakglass/{elevation asked for}"),
}

_RECORDS = (
    State("with health data", record("ill")),
    State("deleted", record("removed")),
    State("of an erased person", record("erased")),
    State("of a person under a hold", record("kept")),
)
_BY_BODY = tuple(
    State(one.name, body={"scope": SCOPE, "key": one.path.rpartition("/")[2]}) for one in _RECORDS
)
_PEOPLE = (State("erased", "{erased person}"), State("under a hold", "{held person}"))
STATES: dict[str, tuple[State, ...]] = {
    "putRecord": (
        State("over one with health data", record("ill")),
        State("over one of an erased person", record("erased-too")),
        State(
            "about an erased person, who came back",
            body={**(ROWS["putRecord"].body or {}), "subjects": ["customer:6"]},
        ),
        State("into an undeclared scope", "/v1/scopes/support.nowhere/records/new"),
    ),
    "getRecord": (
        *_RECORDS,
        State("for an open decision of the agent", headers={"Tenure-Decision": "{open}"}),
        State("for a sealed decision of the agent", headers={"Tenure-Decision": "{sealed}"}),
        State("for a purpose that is not declared", headers={"Tenure-Purpose": "unheard-of"}),
        State("for no purpose", headers={"Tenure-Purpose": ""}),
    ),
    "getRecordByBody": _BY_BODY,
    "listVersions": tuple(one._replace(path=f"{one.path}/versions") for one in _RECORDS),
    "deleteRecord": _RECORDS[:3],
    "sealDecision": (State("sealed", "/v1/decisions/{sealed}:seal"),),
    "getDecision": (State("open", "/v1/decisions/{open}"),),
    "getDecisionContext": (State("open", "/v1/decisions/{open}/context"),),
    "getDecisionOpenings": (State("open", "/v1/decisions/{open}/openings"),),
    "getDecisionReceipt": (State("open", "/v1/decisions/{open}/receipt"),),
    "getSubject": tuple(one._replace(path=f"/v1/subjects/{one.path}") for one in _PEOPLE),
    "previewShred": tuple(one._replace(path=f"/v1/subjects/{one.path}/impact") for one in _PEOPLE),
    "shredSubject": tuple(one._replace(path=f"/v1/subjects/{one.path}:shred") for one in _PEOPLE[:1]),
    "getHold": (State("released", "/v1/holds/{ended hold}"),),
    "getElevation": (
        State("asked for by the caller, a person", "/v1/breakglass/{own}"),
        State("running", "/v1/breakglass/{elevation running}"),
        State("over", "/v1/breakglass/{elevation over}"),
    ),
    "approveElevation": (
        State("asked for by the caller, a person", "/v1/breakglass/{own}:approve"),
        State("refused", "/v1/breakglass/{refused elevation}:approve"),
    ),
    "refuseElevation": (State("running", "/v1/breakglass/{elevation running}:refuse"),),
    "endElevation": (
        State("not approved yet", "/v1/breakglass/{elevation asked for}:end"),
        State("over", "/v1/breakglass/{elevation over}:end"),
    ),
    "reviewElevation": (State("running", "/v1/breakglass/{elevation running}:review"),),
    "requestElevation": (
        State(
            "a role that is not for emergencies",
            body={"role": "support-agent", "minutes": 5, "reason": "a customer is in danger"},
        ),
    ),
    "replayDecision": (State("open", "/v1/decisions/{open}:replay"),),
    # What is in use is not rolled back: the roles that the callers have.
    "rollbackManifests": (State("to before the templates", body={"generation": 1}),),
    "releaseHold": (State("released", "/v1/holds/{ended hold}:release"),),
}


# ── asking ────────────────────────────────────────────────────────────────────────────────────────
def answer(
    world: World, call: str, row: Row, who: str | None, role: str, headers: dict[str, str] | None
) -> str:
    """Status and kind of one real answer, and what it set off has ended."""
    sent = {"Tenure-Purpose": PURPOSES.get(role, "customer-support"), **(headers or {})}
    sent = {name: value.format(**world.ids) for name, value in sent.items()}
    body = row.body and {
        name: value.format(**world.ids) if isinstance(value, str) else value
        for name, value in row.body.items()
    }
    if call == "openDecision":
        body = {"purpose": sent["Tenure-Purpose"]}
    if call == "rollbackManifests" and body == ROWS[call].body:  # to what is in force
        body = {"generation": world.ok("admin", "GET", "/v1/manifests:history")["items"][0]["generation"]}
    got = ask(world, row._replace(body=body), who, headers=sent)
    if not got.is_success:
        return f"{got.status_code} {got.json()['type'].rpartition(':')[2]}"
    if call == "shredSubject":
        world.until("dpo", f"/v1/shreds/{got.json()['shred']}", lambda shred: "certificate" in shred)
    if call == "placeHold":
        world.ok("dpo", "POST", f"/v1/holds/{got.json()['id']}:release")
    return str(got.status_code)


def states(call: str) -> Iterator[tuple[str, State, str]]:
    """Name, target, and the prefix of the callers' keys."""
    row = PRESENT.get(call, ROWS[call])
    named = re.search(r"\{|/records/", row.path) and call != "putRecord"
    yield ("present" if named else "-"), State("present"), ""
    for state in STATES.get(call, ()):
        yield state.name, state, ""
    if named:
        yield "absent", State("absent", _absent(row.path)), ""
    if named or call == "getRecordByBody":
        yield "another tenant's", State("present"), "other-"


def _absent(path: str) -> str:
    if "/records/" in path:
        return re.sub(r"(/records/)[^/?]+", r"\1nothing-there", path)
    names = {"policy": "sha256:" + "0" * 64, "list": "0" * 64, "entry": "0" * 16 + "-0"}
    return re.sub(r"\{([^}]+)\}", lambda found: names.get(found[1], NOBODY), path)


def table(world: World) -> dict[str, dict[str, dict[str, str]]]:
    """Call → state → role → answer."""
    # Last what destroys what others act on.
    order = sorted(ROWS, key=lambda call: (call in LAST or call.startswith(("rotate", "migrate")), call))
    found: dict[str, dict[str, dict[str, str]]] = {}
    for call in order:
        found[call] = {}
        for name, state, tenant in states(call):
            row = PRESENT.get(call, ROWS[call])
            row = row._replace(path=state.path or row.path, body=state.body or row.body)
            answers = found[call][name] = {}
            for role in CALLERS:
                if tenant and role in {OPERATOR, NOBODY_AT_ALL}:
                    continue
                if call in FRESH and name in {"present", "-", "another tenant's"}:
                    world.ids.update(FRESH[call](world))
                who = _key(role)
                if "{own}" in row.path:
                    if role not in PEOPLE:
                        continue
                    world.ids["own"] = elevation(world, str(who))
                answers[role] = answer(world, call, row, who and f"{tenant}{who}", role, state.headers)
    return found


@pytest.fixture(scope="module")
def asked(world: World, furnished: World) -> dict[str, dict[str, dict[str, str]]]:
    return table(world)


def written(found: dict[str, dict[str, dict[str, str]]]) -> str:
    roles = "Roles: " + ", ".join(_titled(role) for role in CALLERS) + "."
    lines = [HEAD, textwrap.fill(roles, 110, break_on_hyphens=False)]
    paths = _paths()
    for call in sorted(found):
        lines += ["", f"{call}   {paths[call]}"]
        for state, answers in found[call].items():
            lines.append(f"  {state}" if state != "-" else "  it stands for itself")
            for each in sorted(set(answers.values())):
                who = ", ".join(role for role, got in answers.items() if got == each)
                lines += textwrap.wrap(
                    f"    {each:22} {who}",
                    110,
                    subsequent_indent=" " * 27,
                    break_on_hyphens=False,
                    drop_whitespace=True,
                )
    return "\n".join(lines) + "\n"


def _titled(role: str) -> str:
    return f"{role} [{PURPOSES[role]}]" if role in PURPOSES else role


def _paths() -> dict[str, str]:
    schema = json.loads((TOP / "docs" / "openapi.json").read_text("utf-8"))
    return {
        one["operationId"]: f"{method.upper()} {path}"
        for path, item in schema["paths"].items()
        for method, one in item.items()
        if isinstance(one, dict) and "operationId" in one
    }


# ── what must hold ────────────────────────────────────────────────────────────────────────────────
def test_every_answer_is_what_the_golden_file_says(asked: Any) -> None:
    found = written(asked)
    if os.environ.get("TENURE_REWRITE_GOLDEN"):
        GOLDEN.write_text(found, "utf-8")
    assert found == GOLDEN.read_text("utf-8"), (
        "What callers are answered changed. If that is meant, write the file anew (see the top of this "
        "test), and review it."
    )


def test_every_call_and_every_role_is_in_the_table(asked: Any) -> None:
    assert {*asked, *EXEMPT} >= set(_paths())
    declared = {
        name
        for text in TEMPLATES
        for name in re.findall(r"kind: Role\nmetadata: \{name: (\S+)\}", text.read_text())
    }
    assert {*declared, *BUILT_IN} <= set(CALLERS)


def test_nobody_without_a_credential_gets_anything(asked: Any) -> None:
    for call, by_state in asked.items():
        for state, answers in by_state.items():
            assert answers.get(NOBODY_AT_ALL, "401 unauthenticated") == "401 unauthenticated", (call, state)


def test_what_is_another_tenants_is_answered_as_what_is_not_there(asked: Any) -> None:
    compared = 0
    for call, by_state in asked.items():
        if {"absent", "another tenant's"} <= set(by_state):
            for role, got in by_state["another tenant's"].items():
                assert got == by_state["absent"][role], (call, role)
                compared += 1
    assert compared > 200


def test_built_in_roles_read_content_only_where_a_template_says_so(asked: Any) -> None:
    for call in ("getRecord", "getRecordByBody", "queryRecords", "listVersions"):
        for answers in asked[call].values():
            for role in (NO_ROLE, NO_ROLE_PERSON, "auditor", "tenant-admin"):
                assert not answers[role].startswith("2"), (call, role)


def test_no_limit_and_no_fault_of_ours_is_in_the_table(asked: Any) -> None:
    for call, by_state in asked.items():
        for state, answers in by_state.items():
            for role, got in answers.items():
                assert not got.startswith(("429", "500", "503")), (call, state, role)
