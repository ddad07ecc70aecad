"""Manifests as files: folders, mistakes in them, comparing, describing, history and the way back."""

import json
import re

import pytest
from typer.testing import CliRunner

from conftest import EVERYWHERE
from tenure.cli.entry import app
from tenure.model import schemas

VOCABULARY = """\
apiVersion: tenure/v1
kind: Vocabulary
metadata: {name: default}
spec:
  categories: {personal: {contact: {}}}
  purposes: {support: {}}
"""
SCOPE = """\
apiVersion: tenure/v1
kind: Scope
metadata: {name: support.talks}
spec:
  description: what was said
  controller: acme
  categories: [contact]
  subjects: required
"""
ROLE = "apiVersion: tenure/v1\nkind: Role\nmetadata: {{name: {name}}}\nspec: {{description: {text}}}\n"
GRANT = """\
apiVersion: tenure/v1
kind: Grant
metadata: {name: clerks-read}
spec:
  roles: [clerk]
  scopes: [support.*]
  categories: "*"
  purposes: [support]
  actions: [read]
  effect: allow
"""
RETENTION = """\
apiVersion: tenure/v1
kind: Retention
metadata: {name: talks}
spec: {scopes: [support.talks], categories: [contact], hotFor: 4w, deleteAfter: 365d}
"""


def folder_of(path, **files):
    """A folder with these files; `below__a` is `below/a`."""
    for name, text in files.items():
        file = path / (name.replace("__", "/") + ".yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return path


@pytest.fixture
def folder(tmp_path):
    files = {
        "1-words": VOCABULARY,
        "2-scopes__talks": SCOPE,
        "3-clerk": ROLE.format(name="clerk", text="reads"),
        "4-grants": GRANT,
        "5-retention": RETENTION,
    }
    return folder_of(tmp_path / "config", **files)


def declared(caller, *kinds):
    return {
        f"{kind}/{one['metadata']['name']}"
        for kind in kinds or ("Vocabulary", "Scope", "Role", "Grant", "Retention")
        for one in caller.json("admin", "get", kind)["items"]
    }


@EVERYWHERE
def test_a_mistake_in_the_third_file_changes_nothing_and_says_where(caller, folder):
    caller.run("admin", "apply", "-f", folder)
    before = declared(caller), caller.json("admin", "history")["items"]
    (folder / "2-scopes" / "talks.yaml").write_text(SCOPE.replace("what was said", "changed"))
    bad = folder / "3-clerk.yaml"
    bad.write_text(
        "# who reads\n" + ROLE.format(name="reader", text="x") + "---\n" + ROLE.format(name="No", text="x")
    )
    error = caller.json("admin", "apply", "-f", folder, code=1)["error"]
    assert (error["file"], error["line"]) == (str(bad), 9)
    assert error["field"] == "manifests[3].metadata.name"
    assert error["rule"] == "name"
    assert "lowercase letters" in error["remedy"]
    said = caller.run("admin", "apply", "-f", folder, code=1).stderr
    assert f"{bad}:9: manifests[3].metadata.name" in said
    assert "lowercase letters" in said
    # A mistake that only the whole set shows: the category of another file is gone.
    bad.write_text(ROLE.format(name="clerk", text="reads"))
    (folder / "5-retention.yaml").unlink()
    (folder / "1-words.yaml").write_text(VOCABULARY.replace("contact", "phone"))
    error = caller.json("admin", "apply", "-f", folder, "--prune", code=1)["error"]
    assert (error["file"], error["line"]) == (str(folder / "2-scopes" / "talks.yaml"), 7)
    assert error["field"] == "manifests[1].spec.categories"
    assert (declared(caller), caller.json("admin", "history")["items"]) == before


BROKEN = {
    "yaml": ("a: [1,\n", "yaml", None),
    "alias": ("a: &x 1\nb: *x\n", "aliases", 2),
    "json": ('{\n  "apiVersion": "tenure/v1",\n  "kind": "Pod"}\n', "kind", 3),
    "double key": ('{"kind": "Role",\n "kind": "Role"}', "unique-keys", 2),
    "crlf": (ROLE.format(name="A", text="x").replace("\n", "\r\n"), "name", 3),
    "other than before": (ROLE.format(name="clerk", text="other"), "unique", 3),
}


def test_every_sort_of_mistake_is_located_in_its_own_file(furnished, tmp_path):
    for number, (name, (text, rule, line)) in enumerate(BROKEN.items()):
        folder = tmp_path / str(number)
        folder_of(folder, a=ROLE.format(name="clerk", text="x"), c=ROLE.format(name="last", text="x"))
        bad = folder / "b.json"
        bad.write_bytes(b"\xef\xbb\xbf" + text.encode())
        error = furnished.json("admin", "apply", "-f", folder, code=1)["error"]
        assert error["file"] == str(bad), name
        assert error["rule"] == rule, name
        assert error["detail"].startswith(str(bad)), name
        assert error["remedy"], name
        assert error.get("line") == (line or error.get("line")), name
    assert "Role/clerk" not in declared(furnished, "Role")
    assert "file 1, line 1" in error["detail"]


def test_files_of_other_sorts_are_read_as_well(caller, tmp_path):
    folder = tmp_path / "sorts"
    folder.mkdir()
    (folder / "a.json").write_text(
        json.dumps([{"kind": "Role", "apiVersion": "tenure/v1"}]).replace(
            '"tenure/v1"',
            '"tenure/v1", "metadata": {"name": "json"}, "spec": {"description": "\\ud83d\\ude00"}',
        )
    )
    (folder / "b.yml").write_bytes(b"\xef\xbb\xbf" + ROLE.format(name="bom", text="x").encode())
    (folder / "c.yaml").write_text(ROLE.format(name="crlf", text="x").replace("\n", "\r\n"))
    (folder / "d.yaml").write_text("")
    (folder / "e.yaml").write_text("# nothing yet\n")
    (folder / "f.yaml").write_text(ROLE.format(name="bom", text="x"))  # the same again is no mistake
    (folder / "g.tests.yaml").write_text("no manifest: a test of policies")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "h.yaml").write_text("[")
    (folder / "notes.txt").write_text("not a manifest")
    caller.run("admin", "apply", "-f", folder)
    assert declared(caller, "Role") == {"Role/json", "Role/bom", "Role/crlf"}
    assert caller.json("admin", "get", "Role", "json")["spec"]["description"] == "😀"


def test_a_folder_is_taken_as_it_lies_there(caller, tmp_path):
    folder, outside = tmp_path / "config", tmp_path / "outside"
    folder_of(folder, a=ROLE.format(name="clerk", text="x"))
    folder_of(outside, b=ROLE.format(name="stranger", text="x"))
    (folder / "same.yaml").symlink_to(folder / "a.yaml")
    caller.run("admin", "apply", "-f", folder)
    (folder / "b.yaml").symlink_to(outside / "b.yaml")
    assert "link out of the folder" in caller.run("admin", "apply", "-f", folder, code=2).stderr
    (folder / "b.yaml").unlink()
    (folder / "more").symlink_to(outside)
    caller.run("admin", "apply", "-f", folder, code=2)
    (folder / "more").unlink()
    (folder / "c.yaml").write_bytes(b"\xff\xfe")
    said = caller.run("admin", "apply", "-f", folder, code=2).stderr
    assert "c.yaml" in re.sub(r"[ │]*\n[ │]*", "", said)  # the box breaks lines anywhere
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    for more in ((), ("--prune",)):
        error = caller.json("admin", "apply", "-f", tmp_path / "empty.yaml", *more, code=1)["error"]
        assert error["rule"] == "not-empty"
    assert declared(caller, "Role") == {"Role/clerk"}


@EVERYWHERE
def test_diff_says_what_apply_does(caller, folder):
    first = caller.run("admin", "diff", "-f", folder, code=1).stdout
    assert "+++ given/Role/clerk" in first
    assert declared(caller) == set()
    caller.run("admin", "apply", "-f", folder)
    assert caller.run("admin", "diff", "-f", folder).stdout == "Nothing would change.\n"
    (folder / "2-scopes" / "talks.yaml").write_text(SCOPE.replace("what was said", "all that was said"))
    (folder / "4-grants.yaml").unlink()
    text = caller.run("admin", "diff", "-f", folder, code=1).stdout
    assert "-  description: what was said\n+  description: all that was said\n" in text
    assert "Grant" not in text
    pruned = caller.json("admin", "diff", "-f", folder, "--prune", code=1)["changes"]
    assert [(one["name"], one["change"]) for one in pruned] == [
        ("clerks-read", "removed"),
        ("support.talks", "changed"),
    ]
    assert "+++ /dev/null" in pruned[0]["diff"]
    assert declared(caller, "Grant") == {"Grant/clerks-read"}


def test_what_get_prints_can_be_applied_again(furnished, folder, tmp_path):
    furnished.run("admin", "apply", "-f", folder / "5-retention.yaml", code=1)
    for kind in ("Vocabulary", "Scope", "Role", "Grant"):
        for form in ("yaml", "json"):
            text = furnished.run("admin", "get", kind, "-o", form).stdout
            (tmp_path / f"again.{form}").write_text(text)
            furnished.run("admin", "diff", "-f", tmp_path / f"again.{form}")
    one = furnished.run("admin", "get", "Scope", "support.conversations", "-o", "yaml").stdout
    assert one.startswith(
        "apiVersion: tenure/v1\nkind: Scope\nmetadata:\n  name: support.conversations\nspec:\n"
    )


def test_prune_removes_what_is_not_given_and_nothing_that_is_in_use(caller, folder):
    caller.run("admin", "apply", "-f", folder)
    caller.run("admin", "principal", "create", "ann", "--kind", "person", "--role", "clerk")
    (folder / "4-grants.yaml").unlink()
    kept = caller.json("admin", "apply", "-f", folder)
    assert {one["change"] for one in kept["changes"]} == {"unchanged"}
    gone = caller.json("admin", "apply", "-f", folder, "--prune")
    assert {(one["name"], one["change"]) for one in gone["changes"] if one["change"] != "unchanged"} == {
        ("clerks-read", "removed")
    }
    (folder / "3-clerk.yaml").unlink()
    error = caller.json("admin", "apply", "-f", folder, "--prune", code=1)["error"]
    assert (error["kind"], error["field"], error["rule"]) == ("conflict", "Role/clerk", "role-in-use")
    assert error["remedy"]
    assert "Role/clerk" in declared(caller)


@EVERYWHERE
def test_history_and_the_way_back(caller, folder):
    caller.run("admin", "apply", "-f", folder)
    again = caller.json("admin", "apply", "-f", folder)
    assert (again["entry"], again["generation"]) == (None, 1)
    (folder / "3-clerk.yaml").write_text(ROLE.format(name="clerk", text="reads and writes"))
    (folder / "6-more.yaml").write_text(ROLE.format(name="visitor", text="looks"))
    assert caller.json("admin", "apply", "-f", folder)["generation"] == 2
    dry = caller.json("admin", "rollback", 1, "--dry-run")
    assert {(one["name"], one["change"]) for one in dry["changes"]} == {
        ("clerk", "changed"),
        ("visitor", "removed"),
    }
    back = caller.json("admin", "rollback", 1)
    assert (back["changes"], back["generation"]) == (dry["changes"], 3)
    assert caller.json("admin", "get", "Role", "clerk")["spec"]["description"] == "reads"
    assert "Role/visitor" not in declared(caller)
    same = caller.json("admin", "rollback", 1)
    assert (same["entry"], same["generation"], same["changes"]) == (None, 3, [])
    items = caller.json("admin", "history")["items"]
    assert [one["generation"] for one in items] == [3, 2, 1]
    assert [one["restored"] for one in items] == [1, None, None]
    assert items[0]["policy"] == items[2]["policy"] != items[1]["policy"]
    assert items[0]["entry"] == back["entry"]
    page = caller.json("admin", "history", "--limit", "2")
    rest = caller.json("admin", "history", "--cursor", page["next"])
    assert [one["generation"] for one in (*page["items"], *rest["items"])] == [3, 2, 1]
    assert rest["next"] is None
    assert "as in 1" in caller.run("admin", "history").stdout
    assert caller.json("admin", "rollback", 9, code=1)["error"]["field"] == "generation"


def test_describe_says_it_in_words_and_hides_nothing(caller, folder):
    applied = caller.run("admin", "apply", "-f", folder).stdout
    assert "Agent/" not in applied
    assert "not enforced" not in applied
    said = caller.run("admin", "describe", "scope", "support.talks").stdout
    assert re.search(r"applied .* by tenant-admin, in generation 1 of the configuration", said)
    assert "Every record is about somebody." in said
    assert "clerks-read: clerk may read any category in support.* for support." in said
    found = caller.json("admin", "describe", "Role", "clerk")
    assert [one["name"] for one in found["grants"]] == ["clerks-read"]
    assert {one["type"]: one["status"] for one in found["conditions"]} == {
        "Enforced": "True",
        "Granted": "True",
    }
    assert found["applied"]["entry"] == caller.json("admin", "history")["items"][0]["entry"]
    kept = caller.json("admin", "describe", "Retention", "talks")["conditions"]
    assert [(one["type"], one["status"], one["reason"]) for one in kept] == [("Enforced", "True", "InForce")]
    assert caller.json("admin", "describe", "Role", "nobody", code=1)["error"]["kind"] == "not-found"


def test_schema_prints_what_editors_need():
    def run(*kind):
        return CliRunner().invoke(app, ["schema", *kind])

    assert json.loads(run("scope").stdout) == schemas.schemas()["scope"]
    assert json.loads(run().stdout)["title"] == "Manifest"
    assert run("pod").exit_code == 2
