"""`tenure policy`: cases tried offline as CI would, and explanations and replays on the command line."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from tenure.cli.entry import app
from tenure.cli.folder import manifest_files

TEMPLATES = Path(__file__).parents[2] / "policies" / "templates"
CASE = """
tests:
  - name: one
    roles: [support-agent]
    scope: support.conversations
    categories: [contact]
    purpose: customer-support
    action: read
    expect: allow
"""
TABLE = """
tests:
  - name: a table
    scope: support.conversations
    purpose: quality
    action: read
    matrix: |

      | role         | contact | contact + health |
      | ------------ | :-----: | ---------------- |
      | support-lead | allow   | {cell} |
"""


def run(*arguments, code=0, **env):
    found = CliRunner().invoke(app, ["policy", *map(str, arguments)], env=env)
    assert found.exit_code == code, found.output
    return found


def tried(folder, code=0):
    return json.loads(run("test", folder, "--json", code=code).stdout)


@pytest.fixture
def folder(tmp_path):
    """The support template; `cases` writes a file of cases beside it."""
    shutil.copy(TEMPLATES / "support.yaml", tmp_path)
    return tmp_path


def cases(folder, text, name="mine.tests.yaml"):
    (folder / name).write_text(text)
    return folder


# ── trying ────────────────────────────────────────────────────────────────────────────────────────
def test_the_shipped_templates_do_what_their_cases_say():
    found = tried(TEMPLATES)
    assert (found["ok"], found["failed"], found["problems"]) == (True, 0, [])
    assert found["tried"] > 80
    tested = {one["file"].removesuffix(".tests.yaml") for one in found["cases"]}
    assert tested == {one.name.removesuffix(".yaml") for one in manifest_files(TEMPLATES)}


def test_a_case_that_fails_says_where_and_why(folder):
    found = run("test", cases(folder, CASE.replace("expect: allow", "expect: deny")), code=1)
    assert "mine.tests.yaml:3: one: expected deny, got allow" in found.stdout
    assert "allowed by grant/support-agent-works#3" in found.stdout
    assert "1 cases, 1 failed, 0 problems" in found.stdout


def test_each_cell_of_a_table_is_a_case_at_its_line(folder):
    found = tried(cases(folder, TABLE.format(cell="allow ")), code=1)
    one, two = found["cases"]
    assert (one["name"], one["passed"]) == ("a table: support-lead, contact", True)
    assert (two["passed"], two["line"], two["reason"]) == (False, 11, "deny-rule")
    assert "denied by grant/nobody-reads-health-for-quality#1" in two["why"][1]
    assert tried(cases(folder, TABLE.format(cell="deny")))["ok"] is True


@pytest.mark.parametrize(
    ("rules", "code", "wrong"),
    [
        ("[grant/support-agent-works]", 0, ""),
        ('["grant/support-agent-works#3"]', 0, ""),
        ('["grant/support-agent-works#4"]', 1, "it was grant/support-agent-works#3"),
        ("[grant/support-lead-reads]", 1, "expected grant/support-lead-reads to decide"),
        ("[]", 1, "expected no rule"),
    ],
)
def test_a_case_may_say_which_rules_decide(folder, rules, code, wrong):
    found = tried(cases(folder, f"{CASE}    rules: {rules}\n"), code=code)
    assert wrong in found["cases"][0]["wrong"]


def test_a_case_may_say_when(folder):
    grant = (
        (folder / "support.yaml")
        .read_text()
        .replace(
            "  effect: allow\n---\napiVersion: tenure/v1\nkind: Grant\nmetadata: {name: support-lead-reads}",
            "  effect: allow\n  notAfter: 2030-01-01T00:00:00Z\n---\napiVersion: tenure/v1\nkind: Grant\n"
            "metadata: {name: support-lead-reads}",
        )
    )
    (folder / "support.yaml").write_text(grant)
    assert "notAfter" in grant
    at_end = "at: 2030-01-01T00:00:00Z\n"
    assert tried(cases(folder, at_end + CASE), code=1)["cases"][0]["reason"] == "no-rule"
    before = "    at: 2029-12-31T23:59:59Z\n"
    assert tried(cases(folder, at_end + CASE + before))["ok"] is True


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("[support-agent]", "[support-agnet]", 3, "`support-agnet`, which the manifests do not declare"),
        ("support.conversations", "support.talks", 3, "`support.talks`"),
        ("[contact]", "[contcat]", 3, "`contcat`"),
        ("customer-support", "custommer-support", 3, "`custommer-support`"),
        ("action: read", "action: raed", 3, "`raed`"),
        ("expect: allow", "expect: yes", 9, "tests[0].expect is no answer"),
        ("expect: allow", "expects: allow", 9, "tests[0].expects is not a field here"),
        ("    expect: allow\n", "", 3, "tests[0].expect is no answer"),
        ("roles: [support-agent]", "roles: support-agent", 4, "tests[0].roles is not a list of names"),
        ("expect: allow", "expect: allow\n    at: soon", 10, "tests[0].at is no instant"),
        ("expect: allow", "expect: allow\n    rules: [support]", 10, "tests[0].rules names no rule"),
        ("expect: allow", "expect: allow\n    rules: [grant/other]", 3, "`grant/other`"),
        ("tests:", "test:", 3, "test is not a field here"),
        ("    action: read\n", "    action: [read\n", 9, "cannot be read as YAML"),
    ],
)
def test_a_file_that_cannot_be_tried_is_an_error_with_its_line(folder, old, new, line, said):
    assert old in CASE
    found = tried(cases(folder, CASE.replace(old, new)), code=2)
    (problem,) = found["problems"]
    assert (found["ok"], problem["file"], problem["line"]) == (False, "mine.tests.yaml", line)
    assert said in problem["detail"]
    assert not found["cases"], "a misspelt name is no deny"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("| role | contact |", "has no cell"),
        ("| role | contact |\n      | support-lead | allow | deny |", "2 answers"),
    ],
)
def test_a_table_that_does_not_fit_is_an_error(folder, table, said):
    text = TABLE.partition("|\n")[0] + f"|\n      {table}\n"
    (problem,) = tried(cases(folder, text), code=2)["problems"]
    assert said in problem["detail"]


def test_wrong_manifests_end_it_and_name_their_file(folder):
    cases(folder, CASE)
    (folder / "a-role.yaml").write_text("apiVersion: tenure/v1\nkind: Rule\nmetadata: {name: x}\nspec: {}\n")
    (problem,) = tried(folder, code=2)["problems"]
    assert (problem["file"], problem["line"]) == ("a-role.yaml", 2)
    shutil.copy(folder / "support.yaml", folder / "z.yaml")
    grant = "metadata: {name: g}\nspec: {roles: [nobody], scopes: ['**'], categories: ['*'], purposes: ['*']"
    text = f"apiVersion: tenure/v1\nkind: Grant\n{grant}, actions: [read], effect: allow}}\n"
    (folder / "a-role.yaml").write_text(f"# a comment\n{text}")
    (problem,) = tried(folder, code=2)["problems"]
    assert (problem["file"], problem["line"]) == ("a-role.yaml", 5)
    assert "nobody" in problem["detail"]


def test_holidays_that_nobody_knows_end_it_as_an_apply_would(folder):
    cases(folder, CASE)
    (folder / "who.yaml").write_text(
        "apiVersion: tenure/v1\nkind: Controller\nmetadata: {name: default}\n"
        "spec:\n  name: Acme\n  contact: a@acme.example\n  requests:\n    holidays: DE-BX\n"
    )
    (problem,) = tried(folder, code=2)["problems"]
    assert (problem["file"], problem["line"]) == ("who.yaml", 8)
    assert "spec.requests.holidays" in problem["detail"]


def test_a_folder_without_cases_is_an_error(folder):
    (problem,) = tried(folder, code=2)["problems"]
    assert "NAME.tests.yaml" in problem["detail"]
    run("test", folder / "nowhere", code=2)


def test_the_result_is_written_as_junit_xml(folder, tmp_path):
    cases(folder, TABLE.format(cell="allow"), "a.tests.yaml")
    cases(folder, CASE.replace("support-agent", "nobody"), "b.tests.yaml")
    out = tmp_path / "result.xml"
    run("test", folder, "--junit", out, code=2)
    root = ET.parse(out).getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "1", "1")
    first, second = root.findall("testsuite")
    assert (first.get("name"), first.get("tests"), first.get("failures")) == ("a.tests.yaml", "2", "1")
    passed, failed = first.findall("testcase")
    assert passed.find("failure") is None
    assert failed.find("failure").get("message") == "expected allow, got deny"
    assert "nobody-reads-health-for-quality" in failed.find("failure").text
    assert "nobody" in second.find("testcase/error").get("message")
    run("test", folder, "--junit", tmp_path / "no" / "such.xml", code=2)


def test_cases_are_never_applied(tmp_path):
    from tenure.cli.folder import case_files

    assert "support.tests.yaml" in {file.name for file in case_files(TEMPLATES)}
    assert {file.name for file in manifest_files(TEMPLATES)} >= {"support.yaml", "marketing.yaml"}
    assert not [file for file in manifest_files(TEMPLATES) if "tests" in file.name]
