"""Tenants that led the same life in one cell, and what each of them calls its own.

`alpha` is the one that strangers ask for, `bravo` is the stranger, `carol` shows that the same calls
succeed at home. All names are equally long, and every id, key and reference that could be asked for is in
`Twin.own`, by what it names: what a request needs is put together from there (`support.calls`).
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from litestar.testing import TestClient

from support.notices import dead
from tenure import ids
from tenure.bootstrap import Tenure
from tenure.ids import CELL

SUPPORT = (Path(__file__).parents[2] / "policies" / "templates" / "support.yaml").read_text()
SCOPE = "support.conversations"
PURPOSE = "customer-support"
ROLES = {
    "agent": ("service", "support-agent"),
    "lead": ("person", "support-lead"),
    "second": ("person", "support-lead"),
    "dpo": ("person", "dpo"),
    "auditor": ("person", "auditor"),
}
"""Kind and role."""
CALLERS = ("agent", "admin", "dpo", "auditor", "lead")
"""Of each tenant. The operator belongs to none."""
UNLIMITED: dict[str, Any] = {
    f"limit_{what}": 0
    for what in ("requests", "bytes", "records", "concurrent", "stored_versions", "stored_bytes", "strangers")
} | {"limit_reserve": 0}
"""Settings without which a refusal for haste could hide an answer."""
ISSUER = "https://issuer.example"
MANY = 66
"""More accesses than an entry holds itself: they are listed apart."""


@dataclass
class Twin:
    """A tenant: API keys by caller, and names by what they name."""

    name: str
    id: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)

    def secrets(self) -> set[str]:
        """What nobody else may ever be shown of it."""
        return {*self.own.values(), self.id, self.name}


def nobody(like: Twin, letters: str) -> Twin:
    """Names as well formed as a tenant's that name nothing. `letters`: five, in place of its name."""

    def another(value: str) -> str:
        if like.name in value:
            return value.replace(like.name, letters)
        if ids.is_id(value):
            return ids.new_id()
        if value.rpartition("-")[0] and value.rpartition("-")[2].isdigit():  # an entry: <writer>-<n>
            return "ab" * 8 + "-" + value.rpartition("-")[2]
        if len(value.removeprefix("sha256:")) == 64:
            digest = ids.new_id().replace("-", "") * 2
            return f"sha256:{digest}" if ":" in value else digest
        raise AssertionError(f"{value!r}: say in `nobody` what a name like it looks like that names nothing")

    return Twin(letters, ids.new_id(), own={what: another(value) for what, value in like.own.items()})


@dataclass
class Family:
    """A served cell with its tenants."""

    client: TestClient[Any]
    tenure: Tenure
    operator: str
    twins: dict[str, Twin] = field(default_factory=dict)

    def call(
        self, key: str, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """One request under a key."""
        sent = {"Authorization": f"Bearer {key}", "Tenure-Purpose": PURPOSE, **(headers or {})}
        return self.client.request(method, path, headers=sent, **more)

    def ok(self, key: str, method: str, path: str, **more: Any) -> Any:
        """The JSON of one that must succeed."""
        answer = self.call(key, method, path, **more)
        assert answer.is_success, answer.text
        return answer.json()

    def run(self, verb: Callable[..., Any], *arguments: Any) -> Any:
        """Something of the cell's own, on its loop."""
        with self.client.portal() as portal:
            return portal.call(verb, *arguments)

    def publish(self, *tenant_ids: str) -> None:
        """Publish these logs, and let the cell's take them in."""
        for tenant_id in tenant_ids:
            self.run(self.tenure.sequencer.run, tenant_id)
        self.run(self.tenure.cell_log.round)
        self.run(self.tenure.sequencer.run, CELL)

    def quiet(self) -> None:
        """From now on nothing happens beside the requests: committed entries wait for their place."""
        self.tenure.sequencer.wake = lambda _tenant_id: None  # type: ignore[method-assign]
        self.run(self.tenure.cell_log.stop)

    def born(self, name: str) -> Twin:
        """A tenant in which something of everything happened, all of it published."""
        twin = self.twins[name] = Twin(name)
        made = self.ok(self.operator, "POST", "/v1/tenants", json={"name": name})
        twin.id, twin.keys["admin"] = made["id"], made["admin_key"]
        twin.own |= {"tenant": made["id"], "tenant name": name}
        self._declare(twin)
        self._people(twin)
        self._decisions(twin)
        self._erasure(twin)
        self._emergencies(twin)
        self._requests(twin)
        given_up = self.run(dead, self.tenure, twin.id)
        twin.own |= {"dead notice": given_up.id, "rights request": given_up.request_id}
        self.publish(twin.id)
        self._lists(twin)
        return twin

    def _declare(self, twin: Twin) -> None:
        name, admin = twin.name, twin.keys["admin"]
        self.ok(admin, "POST", "/v1/manifests:apply", content=SUPPORT)
        scope = {
            "description": f"of {name}",
            "controller": name,
            "categories": ["contact"],
            "subjects": "optional",
        }
        declared = [
            {"kind": "Scope", "metadata": {"name": f"support.only-{name}"}, "spec": scope},
            {"kind": "Role", "metadata": {"name": f"only-{name}"}, "spec": {"description": f"of {name}"}},
        ]
        churned = {"clock": "event", "event": "customer.churned", "deleteAfter": "365d"}
        about = {"scopes": [SCOPE, f"support.only-{name}"], "categories": ["contact"]}
        declared.append({"kind": "Retention", "metadata": {"name": "churned"}, "spec": {**about, **churned}})
        emergency = {"maxMinutes": 60, "approverRoles": ["dpo"], "reviewWithinHours": 24}
        rescuer = {"description": f"of {name}", "breakGlass": emergency}
        declared.append({"kind": "Role", "metadata": {"name": f"rescuer-of-{name}"}, "spec": rescuer})
        body = [{"apiVersion": "tenure/v1", **one} for one in declared]
        twin.own["policy"] = self.ok(admin, "POST", "/v1/manifests:apply", json=body)["policy"]
        twin.own |= {"scope": f"support.only-{name}", "manifest": f"only-{name}"}
        twin.own["emergency role"] = f"rescuer-of-{name}"
        for who, (kind, role) in ROLES.items():
            roles = [role, twin.own["manifest"]] if who == "auditor" else [role]
            given = {"name": f"{who}-of-{name}", "kind": kind, "roles": roles}
            made = self.ok(admin, "POST", "/v1/principals", json=given)
            twin.keys[who], twin.own["principal"] = made["api_key"], made["id"]
        credentials = f"/v1/principals/{twin.own['principal']}/credentials"
        twin.own["credential"] = self.ok(admin, "POST", credentials)["id"]
        twin.own["principal name"] = f"lead-of-{name}"
        twin.own |= {"issuer name": f"issuer-of-{name}", "audience": f"https://{name}.example/{twin.id}"}
        issuer = {"name": twin.own["issuer name"], "issuer": ISSUER, "audience": twin.own["audience"]}
        twin.own["issuer"] = self.ok(admin, "POST", "/v1/issuers", json=issuer)["id"]
        issuer |= {"name": f"spare-of-{name}", "audience": f"{issuer['audience']}/spare"}
        twin.own["spare issuer"] = self.ok(admin, "POST", "/v1/issuers", json=issuer)["id"]

    def _people(self, twin: Twin) -> None:
        agent, dpo, name = twin.keys["agent"], twin.keys["dpo"], twin.name
        twin.own |= {"key": f"key-of-{name}", "reference": f"customer:{name}"}
        twin.own["once"] = f"once-of-{name}"
        place = f"/v1/scopes/{SCOPE}/records"
        body = {
            "content": f"words of {name}",
            "subjects": [twin.own["reference"]],
            "categories": ["contact"],
        }
        once = {"Idempotency-Key": twin.own["once"]}
        written = self.ok(agent, "PUT", f"{place}/{twin.own['key']}", json=body, headers=once)
        self.ok(agent, "PUT", f"/v1/scopes/{twin.own['scope']}/records/{twin.own['key']}", json=body)
        twin.own |= {
            "record": written["record"],
            "version": written["version_id"],
            "entry": written["entry"],
        }
        for n in range(MANY):
            self.ok(agent, "PUT", f"{place}/many-{n}-of-{name}", json=body)
        everything = {"limit": 200, "include": ["content"]}
        self.ok(agent, "POST", f"{place}:query", json=everything)
        found = self.ok(dpo, "POST", "/v1/subjects:lookup", json={"ref": twin.own["reference"]})
        twin.own["subject"] = found["items"][0]["id"]
        for thread, run in (("thread", "run"), ("thread to delete", "another run")):
            twin.own |= {thread: f"{thread} of {name}", run: f"{run} of {name}"}
            snapshot = {"id": f"snapshot of {name}", "run": twin.own[run]}
            bound = {"categories": ["contact"], "subjects": [twin.own["reference"]]}
            for scope in (twin.own["scope"], SCOPE):
                body = {"scope": scope, "thread": twin.own[thread], **bound, "snapshot": snapshot}
                self.ok(agent, "POST", "/v1/threads/snapshots:put", json=body)
        soon = self.ok(agent, "POST", "/v1/retrievals", json={"scope": twin.own["scope"]})
        twin.own["retrieval"] = soon["id"]
        held = {"by": "scope", "target": SCOPE, "ground": f"a case of {name}"}
        twin.own["hold"] = self.ok(dpo, "POST", "/v1/holds", json=held, headers=once)["id"]

    def _decisions(self, twin: Twin) -> None:
        agent = twin.keys["agent"]
        for what in ("decision", "sealed decision"):
            twin.own[what] = self.ok(agent, "POST", "/v1/decisions", json={"purpose": PURPOSE})["id"]
            bound = {"Tenure-Decision": twin.own[what]}
            self.ok(agent, "GET", f"/v1/scopes/{SCOPE}/records/{twin.own['key']}", headers=bound)
        self.ok(agent, "POST", f"/v1/decisions/{twin.own['sealed decision']}:seal", json={"outcome": "ok"})

    def _emergencies(self, twin: Twin) -> None:
        """One elevation for each step that can be taken with one; nobody has two active ones."""
        lead, second, dpo = (twin.keys[who] for who in ("lead", "second", "dpo"))

        def asked(key: str) -> str:
            body = {"role": twin.own["emergency role"], "minutes": 60, "reason": f"reason of {twin.name}"}
            return str(self.ok(key, "POST", "/v1/breakglass", json=body)["id"])

        for what in ("ended elevation", "active elevation"):
            twin.own[what] = asked(lead)
            self.ok(dpo, "POST", f"/v1/breakglass/{twin.own[what]}:approve")
            if what == "ended elevation":
                self.ok(lead, "POST", f"/v1/breakglass/{twin.own[what]}:end")
        twin.own |= {"elevation": asked(second), "elevation to refuse": asked(second)}

    def _erasure(self, twin: Twin) -> None:
        agent, dpo = twin.keys["agent"], twin.keys["dpo"]
        gone = {"content": 1, "subjects": [f"gone:{twin.name}"], "categories": ["contact"]}
        self.ok(agent, "PUT", f"/v1/scopes/{twin.own['scope']}/records/gone", json=gone)
        found = self.ok(dpo, "POST", "/v1/subjects:lookup", json={"ref": f"gone:{twin.name}"})
        erasing = self.ok(dpo, "POST", f"/v1/subjects/{found['items'][0]['id']}:shred")
        self.run(self.tenure.shredder.run)
        done = self.ok(dpo, "GET", f"/v1/shreds/{erasing['shred']}")
        twin.own |= {"shred": done["shred"], "certificate": done["certificate"]}

    def _requests(self, twin: Twin) -> None:
        """A rights request for each step that can be taken with one. Whoever opened them decides on none."""
        officer = {"name": f"officer-of-{twin.name}", "kind": "person", "roles": ["dpo"]}
        key = self.ok(twin.keys["admin"], "POST", "/v1/principals", json=officer)["api_key"]
        dpo = twin.keys["dpo"]

        def opened(what: str, kind: str = "access", **more: object) -> str:
            body = {"type": kind, "reference": twin.own["reference"], **more}
            twin.own[what] = self.ok(key, "POST", "/v1/requests", json=body)["id"]
            return f"/v1/requests/{twin.own[what]}"

        def scoped(what: str, kind: str = "access", **more: object) -> str:
            path = opened(what, kind, **more)
            self.ok(key, "POST", f"{path}:identify", json={"method": "login"})
            self.ok(key, "POST", f"{path}:scope")
            return path

        for what in (
            "request",
            *(f"request to {one}" for one in ("identify", "refuse", "withdraw", "pause")),
        ):
            opened(what)
        opened("request to extend")
        self.ok(key, "POST", f"{opened('request to resume')}:pause", json={"reason": "identity"})
        path = opened("request to scope")
        self.ok(key, "POST", f"{path}:identify", json={"method": "login"})
        scoped("request to approve")
        for path in (
            scoped("request to conclude", "decision-review"),
            scoped("request to lift", "objection", purposes=["marketing"]),
            scoped("request to link"),
        ):
            self.ok(dpo, "POST", f"{path}:approve")
        self.run(self.tenure.rights.run)

    def _lists(self, twin: Twin) -> None:
        page = self.ok(twin.keys["auditor"], "GET", "/v1/ledger/entries?kind=access&limit=200")
        named = (one["entry"].get("accesses_sha256") for one in page["items"])
        twin.own["list"] = next(digest for digest in named if digest is not None)
        head = self.call(twin.keys["auditor"], "GET", "/v1/ledger/checkpoint").text.splitlines()
        twin.own["root"] = base64.b64decode(head[2]).hex()
