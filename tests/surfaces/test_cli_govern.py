"""The governing commands, on the embedded store and over HTTP: the same answers, the same exit codes."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from tenure.cli.entry import app
from tenure.model.apikey import parse_api_key

TEMPLATES = Path(__file__).parents[2] / "policies" / "templates"
ROLE = "apiVersion: tenure/v1\nkind: Role\nmetadata: {{name: {name}}}\nspec: {{description: tests}}\n"


class Caller:
    """Runs commands as somebody; `where` says which cell."""

    def __init__(self, where, keys):
        self.where = where
        self.keys = keys

    def run(self, who, *arguments, code=0):
        env = {"TENURE_API_KEY": self.keys.get(who, who)}
        found = CliRunner().invoke(app, [*map(str, arguments), *map(str, self.where)], env=env)
        assert found.exit_code == code, found.output
        return found

    def json(self, who, *arguments, code=0):
        return json.loads(self.run(who, *arguments, "--json", code=code).stdout)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A cell behind `tenure serve`."""
    folder = tmp_path_factory.mktemp("served")
    places = ["--data-dir", str(folder / "data"), "--root-dir", str(folder / "root")]
    program = [sys.executable, "-c", "from tenure.cli.entry import main; main()"]
    made = subprocess.run([*program, "init", *places, "--json"], check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([*program, "serve", *places, "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                httpx.get(f"{url}/health/live").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.05)
        yield Caller(["--url", url], {"operator": json.loads(made.stdout)["operator_key"]})
    finally:
        process.terminate()
        assert process.wait(20) == 0, "tenure serve does not end cleanly"


@pytest.fixture(params=["embedded", "url"])
def caller(request, tmp_path):
    """A caller with a fresh tenant: `operator` and `admin`."""
    if request.param == "url":
        served = request.getfixturevalue("served")
        caller = Caller(served.where, dict(served.keys))
    else:
        cell = request.getfixturevalue("embedded")
        places = ["--data-dir", cell.settings.data_dir, "--root-dir", cell.settings.root_dir]
        caller = Caller(places, {"operator": cell.operator_key})
    made = caller.json("operator", "tenant", "create", f"tenant-{tmp_path.name}")
    caller.keys["admin"] = made["admin_key"]
    return caller


@pytest.fixture
def furnished(caller):
    """The same, with the support template declared."""
    caller.run("admin", "apply", "-f", TEMPLATES / "support.yaml")
    return caller


class TestApply:
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

    def test_one_bad_file_of_a_folder_keeps_all_out_and_is_located(self, furnished, tmp_path):
        folder = tmp_path / "manifests"
        folder.mkdir()
        (folder / "a.yaml").write_text(ROLE.format(name="clerk"))
        (folder / "b.yaml").write_text(ROLE.format(name="Not a name"))
        error = furnished.json("admin", "apply", "-f", folder, code=1)["error"]
        assert error["field"] == "manifests[1].metadata.name"
        assert "a.yaml from 1, b.yaml from 7" in error["remedy"]
        assert "line 9" in error["detail"]
        roles = {one["metadata"]["name"] for one in furnished.json("admin", "get", "Role")["items"]}
        assert "clerk" not in roles

    @pytest.mark.parametrize("content", [None, []])
    def test_no_file_and_an_empty_folder_are_wrong_use(self, caller, tmp_path, content):
        folder = tmp_path / "nothing"
        if content is not None:
            folder.mkdir()
        caller.run("admin", "apply", "-f", folder, code=2)


class TestGet:
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


class TestRights:
    def test_no_key_is_wrong_use(self, caller):
        found = caller.run("", "get", "Role", code=2)
        assert "TENURE_API_KEY" in found.stderr
        assert caller.json("", "get", "Role", code=2)["error"]["kind"] == "wrong-use"

    def test_a_key_that_is_none_is_a_no(self, caller):
        assert caller.json("tnr_nonsense", "get", "Role", code=1)["error"]["kind"] == "unauthenticated"

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
