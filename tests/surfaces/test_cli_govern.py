"""The governing commands, on the embedded store and over HTTP: the same answers, the same exit codes."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conftest import EVERYWHERE
from tenure.cli.embedded import open_cell
from tenure.cli.entry import app
from tenure.client.http import Connection
from tenure.errors import Denied
from tenure.model.apikey import parse_api_key
from tenure.settings import Settings

TEMPLATES = Path(__file__).parents[2] / "policies" / "templates"
ROLE = "apiVersion: tenure/v1\nkind: Role\nmetadata: {{name: {name}}}\nspec: {{description: tests}}\n"


class TestApply:
    @EVERYWHERE
    def test_declares_then_finds_nothing_to_change(self, caller):
        first = caller.json("admin", "apply", "-f", TEMPLATES / "support.yaml")
        assert {one["change"] for one in first["changes"]} == {"created"}
        again = caller.json("admin", "apply", "-f", TEMPLATES / "support.yaml")
        assert {one["change"] for one in again["changes"]} == {"unchanged"}
        assert again["policy"] == first["policy"]

    def test_a_dry_run_changes_nothing(self, caller):
        dry = caller.json("admin", "apply", "-f", TEMPLATES / "support.yaml", "--dry-run")
        assert dry["dry_run"] is True
        assert caller.json("admin", "get", "role")["items"] == []

    def test_takes_a_folder_as_one_set(self, caller, tmp_path):
        folder = tmp_path / "manifests"
        folder.mkdir()
        (folder / "1-all.yaml").write_text((TEMPLATES / "support.yaml").read_text())
        (folder / "2-more.yml").write_text(ROLE.format(name="clerk"))
        (folder / "notes.txt").write_text("not a manifest")
        applied = caller.json("admin", "apply", "-f", folder)
        assert ("Role", "clerk") in {(one["kind"], one["name"]) for one in applied["changes"]}

    @pytest.mark.parametrize("content", [None, []])
    def test_no_file_and_an_empty_folder_are_wrong_use(self, caller, tmp_path, content):
        folder = tmp_path / "nothing"
        if content is not None:
            folder.mkdir()
        caller.run("admin", "apply", "-f", folder, code=2)


class TestGet:
    @EVERYWHERE
    def test_lists_a_kind_and_shows_one(self, furnished):
        found = furnished.json("admin", "get", "scope")
        assert "support.conversations" in {one["metadata"]["name"] for one in found["items"]}
        one = furnished.json("admin", "get", "Scope", "support.conversations")
        assert one["spec"]["subjects"] == "required"
        assert "support-agent" in furnished.run("admin", "get", "Role").stdout

    def test_what_is_not_declared_is_a_no(self, furnished):
        assert furnished.json("admin", "get", "Role", "nobody", code=1)["error"]["kind"] == "not-found"

    def test_an_unknown_kind_is_wrong_use(self, furnished):
        furnished.run("admin", "get", "Pod", code=2)


class TestPrincipals:
    @EVERYWHERE
    def test_a_made_key_works_and_a_revoked_one_does_not(self, furnished):
        made = furnished.json(
            "admin", "principal", "create", "watch", "--kind", "person", "--role", "tenant-admin"
        )
        furnished.json(made["api_key"], "get", "Role")
        more = furnished.json("admin", "principal", "credential", "add", "watch")
        furnished.json(more["api_key"], "get", "Role")
        furnished.json("admin", "principal", "credential", "revoke", made["id"], more["id"])
        error = furnished.json(more["api_key"], "get", "Role", code=1)["error"]
        assert error["kind"] == "unauthenticated"
        furnished.json(made["api_key"], "get", "Role")

    def test_lists_principals_and_their_keys_without_secrets(self, furnished):
        furnished.run("admin", "principal", "create", "bot", "--kind", "agent", "--role", "support-agent")
        listed = furnished.json("admin", "principal", "list")
        assert {one["name"] for one in listed["items"]} == {"tenant-admin", "bot"}
        keys = furnished.json("admin", "principal", "credential", "revoke", "bot")["items"]
        assert [one["revoked_at"] for one in keys] == [None]
        assert "tnr_" not in furnished.run("admin", "principal", "credential", "revoke", "bot").stdout

    @EVERYWHERE
    def test_gives_a_key_that_is_narrower_and_ends(self, furnished):
        furnished.run("admin", "principal", "create", "eve", "--kind", "person", "--role", "tenant-admin")
        narrow = ("--scope", "tenure.manifests", "--action", "read", "--expires-at", "2100-01-01T00:00:00Z")
        made = furnished.json("admin", "principal", "credential", "add", "eve", *narrow)
        assert made["reach"] == {"scopes": ["tenure.manifests"], "actions": ["read"]}
        assert made["expires_at"].startswith("2100-01-01")
        furnished.json(made["api_key"], "get", "Role")
        assert furnished.json(made["api_key"], "principal", "list", code=1)["error"]["kind"] == "denied"
        wrong = ("principal", "credential", "add", "eve", "--role", "dpo")
        assert furnished.json("admin", *wrong, code=1)["error"]["field"] == "reach.roles[0]"

    def test_changes_a_principal(self, furnished):
        made = furnished.json(
            "admin", "principal", "create", "temp", "--kind", "person", "--role", "tenant-admin"
        )
        changed = furnished.json("admin", "principal", "change", "temp", "--role", "dpo", "--role", "auditor")
        assert changed["roles"] == ["auditor", "dpo"]
        assert furnished.json(made["api_key"], "get", "Role", code=1)["error"]["kind"] == "denied"
        assert furnished.json("admin", "principal", "change", "temp", "--disable")["disabled_at"]
        assert furnished.json(made["api_key"], "get", "Role", code=1)["error"]["kind"] == "unauthenticated"
        assert furnished.json("admin", "principal", "change", "temp", "--enable")["disabled_at"] is None
        assert furnished.json("admin", "principal", "change", "tenant-admin", "--disable", code=1)

    @EVERYWHERE
    def test_trusts_an_issuer_and_no_longer(self, furnished, tmp_path):
        tenant = parse_api_key(furnished.keys["admin"]).tenant_id
        file = tmp_path / "issuer.json"
        config = {
            "name": "main",
            "issuer": "https://issuer.example",
            "audience": f"https://t.example/{tenant}",
        }
        file.write_text(json.dumps(config))
        made = furnished.json("admin", "issuer", "add", "-f", file)
        again = furnished.json("admin", "issuer", "add", "-f", file, "--replaces", "main")
        assert (
            [one["id"] for one in furnished.json("admin", "issuer", "list")["items"]]
            == [again["id"]]
            != [made["id"]]
        )
        furnished.run("admin", "issuer", "remove", "main")
        assert furnished.json("admin", "issuer", "remove", "main", code=1)["error"]["kind"] == "not-found"
        file.write_text("[]")
        assert furnished.json("admin", "issuer", "add", "-f", file, code=1)["error"]["field"] == "--file"

    def test_a_role_that_is_not_declared_is_a_no(self, furnished):
        wrong = ("principal", "create", "bot", "--kind", "agent", "--role", "nobody")
        error = furnished.json("admin", *wrong, code=1)["error"]
        assert error["field"] == "roles[0]"
        assert error["remedy"]

    def test_a_kind_that_does_not_exist_is_wrong_use(self, furnished):
        furnished.run("admin", "principal", "create", "x", "--kind", "robot", "--role", "dpo", code=2)

    def test_an_unknown_principal_is_a_no(self, furnished):
        furnished.run("admin", "principal", "credential", "add", "nobody", code=1)


class TestPolicy:
    QUESTION = (
        *("policy", "explain", "--role", "support-lead", "--scope", "support.conversations"),
        *("--category", "contact", "--category", "health", "--purpose", "quality", "--action", "read"),
    )

    def test_a_question_is_explained_in_words(self, furnished):
        (one,) = furnished.json("admin", *self.QUESTION)["items"]
        assert (one["now"]["allowed"], one["now"]["reason"]) == (False, "deny-rule")
        said = furnished.run("admin", *self.QUESTION).stdout
        assert "read of contact, health in support.conversations for quality" in said
        assert "Category `contact`: allowed by grant/support-lead-reads#2" in said
        assert "denied by grant/nobody-reads-health-for-quality#1: every role must not" in said
        assert "is row 1 of 1 of Grant nobody-reads-health-for-quality: health data is for" in said

    @EVERYWHERE
    def test_a_denial_is_explained_by_the_command_that_it_names(self, furnished):
        bot = furnished.json(
            "admin", "principal", "create", "bot", "--kind", "agent", "--role", "support-agent"
        )
        denied = furnished.json(bot["api_key"], "get", "Role", code=1)["error"]
        command = denied["remedy"].rpartition(": tenure ")[2].split()
        said = furnished.run("admin", *command).stdout
        assert f"principal {bot['id']}, roles support-agent (recorded)" in said
        assert "The nearest is builtin/admin-reads-manifests" in said
        assert "the roles are support-agent" in said
        furnished.run(bot["api_key"], *command, code=1)

    def test_what_is_no_question_is_a_no(self, furnished):
        error = furnished.json("admin", "policy", "explain", "--role", "dpo", code=1)["error"]
        assert error["field"] == "scope"

    @EVERYWHERE
    def test_a_decision_is_replayed(self, furnished):
        bot = furnished.json(
            "admin", "principal", "create", "bot", "--kind", "agent", "--role", "support-lead"
        )
        decision = decide(furnished, bot["api_key"])
        found = furnished.json("admin", "policy", "replay", decision)
        assert (found["summary"]["accesses"], found["summary"]["same"]) == (1, 1)
        said = furnished.run("admin", "policy", "replay", decision, "--policy", found["policy"]).stdout
        assert "1 accesses: 0 would be denied now, 0 allowed now, 1 the same" in said
        furnished.run("admin", "policy", "replay", bot["id"], code=1)

    def test_a_dry_run_looks_back(self, furnished, tmp_path):
        bot = furnished.json(
            "admin", "principal", "create", "bot", "--kind", "agent", "--role", "support-lead"
        )
        decide(furnished, bot["api_key"])
        grant = (
            (TEMPLATES / "support.yaml")
            .read_text()
            .replace(
                "categories: [personal]\n  purposes: [quality]",
                "categories: [contact]\n  purposes: [customer-support]",
            )
        )
        (tmp_path / "new.yaml").write_text(grant)
        command = ("apply", "-f", tmp_path / "new.yaml", "--dry-run", "--what-if", "1")
        for _ in range(100):
            found = furnished.json("admin", *command)["what_if"]
            if found["accesses"]:
                break
            time.sleep(0.05)
        assert (found["days"], found["first"], found["stopped"]) == (1, 0, None)
        assert found["unknown"] == 0
        assert "would be denied" in furnished.run("admin", *command).stdout
        furnished.run("admin", *command[:3], "--what-if", "1", code=2)


def decide(caller, key):
    """A decision with one denied access; its id."""

    async def work(connection):
        made = await connection.call("POST", "/v1/decisions", {"purpose": "customer-support"})
        headers = {"Tenure-Purpose": "customer-support", "Tenure-Decision": made["id"]}
        with pytest.raises(Denied):
            await connection.call("GET", "/v1/scopes/support.conversations/records/k", headers=headers)
        return made["id"]

    async def connected():
        if caller.where[0] == "--url":
            async with Connection(key, caller.where[1]) as connection:
                return await work(connection)
        settings = Settings(data_dir=caller.where[1], root_dir=caller.where[3])
        async with open_cell(settings) as cell, cell.connect(key) as connection:
            return await work(connection)

    return asyncio.run(connected())


class TestRights:
    @EVERYWHERE
    def test_no_key_is_wrong_use(self, caller):
        found = caller.run("", "get", "Role", code=2)
        assert "TENURE_API_KEY" in found.stderr
        assert caller.json("", "get", "Role", code=2)["error"]["kind"] == "wrong-use"

    @EVERYWHERE
    def test_a_key_that_is_none_is_a_no(self, caller):
        assert caller.json("tnr_nonsense", "get", "Role", code=1)["error"]["kind"] == "unauthenticated"

    @EVERYWHERE
    def test_another_role_is_denied_and_told_under_which_entry(self, caller):
        error = caller.json("admin", "tenant", "create", "mine", code=1)["error"]
        assert error["kind"] == "denied"
        assert error["entry"]
        said = caller.run("admin", "tenant", "create", "mine", code=1).stderr
        assert "No: " in said
        assert "entry:" in said


def test_a_service_that_does_not_answer_is_a_no():
    found = CliRunner().invoke(
        app, ["get", "Role", "--url", "http://127.0.0.1:1", "--json"], env={"TENURE_API_KEY": "tnr_x"}
    )
    assert found.exit_code == 1
    assert json.loads(found.stdout)["error"]["kind"] == "unavailable"


def test_an_embedded_store_that_is_in_use_is_left_alone(embedded):
    place = ["--data-dir", str(embedded.settings.data_dir), "--root-dir", str(embedded.settings.root_dir)]
    holder = (
        "import fcntl,sys; f=open(sys.argv[1],'a'); fcntl.flock(f,fcntl.LOCK_EX); print(flush=True); input()"
    )
    lock = str(embedded.settings.data_dir / "lock")
    process = subprocess.Popen(
        [sys.executable, "-c", holder, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        process.stdout.readline()
        key = {"TENURE_API_KEY": embedded.one.keys["admin"]}
        found = CliRunner().invoke(app, ["get", "Role", *place, "--json"], env=key)
        doctor = CliRunner().invoke(app, ["doctor", *place, "--json"])
        process.communicate(b"\n")
    assert found.exit_code == 1
    assert "running server" in json.loads(found.stdout)["error"]["remedy"]
    assert doctor.exit_code == 0
    opens = [one for one in json.loads(doctor.stdout)["checks"] if one["check"] == "opens"]
    assert opens[0]["detail"] == "another process has it open"
