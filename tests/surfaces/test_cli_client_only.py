"""The bare install is the client: what works without the server's libraries, and what says it cannot."""

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from support import nursery
from tenure.ledger.certificate import issue_certificate
from tenure.ledger.receipt import build_receipt
from tenure.ledger.tree import inclusion
from unit.ledger.logs import SIGNER, entries, publish

# What the extra `server` brings, and nothing that the client needs.
ABSENT = (
    "ahocorasick_rs alembic apscheduler backports casbin fpdf granian holidays jinja2 litestar msgspec"
    " prometheus_client psycopg"
    " pydantic_settings sqlalchemy structlog uuid_utils yaml"
)
COMMANDS = {
    *("init", "serve", "demo", "doctor", "jobs"),
    *("backup", "restore", "drill", "import", "ledger", "lifecycle"),
    *("apply", "diff", "get", "describe", "history", "rollback", "schema", "policy"),
    *(
        "tenant",
        "principal",
        "issuer",
        "shred",
        "notice",
        "breakglass",
        "request",
        "event",
        "retrieve",
        "retention",
        "storage",
        "cost",
    ),
    *(
        "verify",
        "audit",
        "certificate",
        "population",
        "evidence",
        "register",
        "residue",
        "selftest",
        "witness",
    ),
}
# What the other extras bring: AWS, PostgreSQL, tokens of keys, time stamps.
EXTRAS = "boto3 botocore psycopg pkcs11 rfc3161_client"
CERTIFICATE = {
    "v": 1,
    "kind": "erasure-certificate",
    "id": "c",
    "tenant": "t",
    "origin": SIGNER.name,
    "shred": "s",
    "issued_at": "2026-09-21T14:13:20.000002Z",
    "steps": [{"step": "destroy"}],
    "keys": {"provider": "files"},
    "proves": ["This."],
    "does_not_prove": ["That."],
    "entry": "00112233445566ff-9",
}
KNOWS = ("tenure.cli.entry", "tenure.client", "typer.rich_utils")
"""What a command's process has imported already, where the same is absent: nothing that a server needs."""


def bare(*arguments, cwd=None, absent=ABSENT, program="from tenure.cli.entry import main; main()", **env):
    """A command where these modules are not installed: what it said, and how it ended."""
    env = {"TENURE_API_KEY": "tnr_x", **env}
    enter = f"import os; os.chdir({str(cwd or Path.cwd())!r})\n"
    with TemporaryFile() as out, TemporaryFile() as wrong:
        streams = {"stdout": out.fileno(), "stderr": wrong.fileno()}
        code = nursery.start(
            enter + program, *map(str, arguments), env=env, knows=KNOWS, absent=absent, **streams
        ).wait()
        said = [stream.seek(0) or stream.read().decode() for stream in (out, wrong)]
    return subprocess.CompletedProcess(arguments, code, *said)


@pytest.fixture
def receipt(tmp_path):
    log = publish(entries(5))
    path = tmp_path / "receipt.txt"
    path.write_text(build_receipt(log.entries[3], 3, inclusion(3, 5, log.read_tile), log.checkpoint))
    return path


def test_help_lists_every_command():
    found = bare("--help")
    assert found.returncode == 0, found.stderr
    for command in COMMANDS:
        assert f" {command} " in found.stdout


def test_verifies_a_receipt(receipt):
    found = bare("verify", receipt, "--vkey", SIGNER.vkey)
    assert found.returncode == 0, found.stderr
    receipt.write_text(receipt.read_text().replace("index 3", "index 2"))
    assert bare("verify", receipt, "--vkey", SIGNER.vkey).returncode == 1


def test_governs_a_service_by_its_url():
    found = bare("get", "Role", "--url", "http://127.0.0.1:1")
    assert found.returncode == 1
    assert "did not answer" in found.stderr


def test_prints_schemas_for_editors():
    found = bare("schema", "role")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["title"] == "Role"


@pytest.mark.parametrize(
    "command",
    [
        ["init"],
        ["serve"],
        ["demo"],
        ["doctor"],
        ["get", "Role"],
        ["backup", "b"],
        ["restore", "b"],
        ["drill"],
        ["ledger", "repair"],
        ["selftest"],
        ["policy", "test", "."],
    ],
)
def test_server_commands_say_what_to_install(command, tmp_path):
    found = bare(*command, cwd=tmp_path)
    assert found.returncode == 2
    assert "pip install 'tenure[server]'" in found.stderr
    assert "Traceback" not in found.stderr


def test_residue_says_what_to_install(tmp_path):
    (tmp_path / "values").write_text("ada@example.org")
    found = bare("residue", tmp_path / "here", "--values", tmp_path / "values")
    assert found.returncode == 2
    assert "pip install 'tenure[residue]'" in found.stderr


def test_certificates_are_read_without_more_and_made_into_pages_with_an_extra(tmp_path):
    path = tmp_path / "one.json"
    path.write_text(issue_certificate(CERTIFICATE, SIGNER))
    shown = bare("certificate", path)
    assert shown.returncode == 0, shown.stderr
    for heading in ("What was done, step by step", "What this proves", "What this does not prove"):
        assert heading in shown.stdout
    for option in ("--html", "--pdf"):
        found = bare("certificate", path, option, tmp_path / "made")
        assert found.returncode == 1
        assert "pip install 'tenure[reports]'" in found.stderr
    assert not (tmp_path / "made").exists()


MAPPING = "{scope: a.b, purpose: c, categories: [d], subjects: ['customer:1']"


def test_import_needs_its_own_libraries_and_no_server(tmp_path):
    (tmp_path / "m.yaml").write_text(f"{MAPPING}, key: '{{line}}'}}")
    (tmp_path / "t.yaml").write_text(f"{MAPPING}}}")
    (tmp_path / "lines").write_text('{"said": "hello"}\n')
    with closing(sqlite3.connect(tmp_path / "theirs")) as theirs:
        theirs.execute(
            "CREATE TABLE checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id)"
        )
    lines = ["import", "jsonl", tmp_path / "lines", "--mapping", tmp_path / "m.yaml"]
    found = bare(*lines)
    assert found.returncode == 2
    assert "pip install 'tenure[import]'" in found.stderr
    without = ABSENT.replace(" yaml", "").replace("psycopg ", "") + " langgraph"
    found = bare(*lines, "--dry-run", "--json", absent=without)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["counts"]["written"] == 1
    threads = ["import", "checkpoints", tmp_path / "theirs", "--mapping", tmp_path / "t.yaml", "--dry-run"]
    found = bare(*threads, absent=without)
    assert found.returncode == 1
    assert "pip install 'tenure[import]'" in found.stderr


def test_says_so_as_json_too(tmp_path):
    found = bare("init", "--json", cwd=tmp_path)
    assert found.returncode == 2
    assert json.loads(found.stdout)["error"]["kind"] == "wrong-use"


def test_an_embedded_cell_needs_nothing_but_the_server(tmp_path):
    places = {"TENURE_DATA_DIR": str(tmp_path / "data"), "TENURE_ROOT_DIR": str(tmp_path / "root")}
    made = bare("init", "--json", absent=EXTRAS, cwd=tmp_path, **places)
    assert made.returncode == 0, made.stderr
    operator = json.loads(made.stdout)["operator_key"]
    listed = bare("jobs", "--json", absent=EXTRAS, cwd=tmp_path, **{**places, "TENURE_API_KEY": operator})
    assert listed.returncode == 0, listed.stderr


def test_a_service_elsewhere_is_reached_and_none_is_opened_here():
    program = (
        "import tenure\n"
        "from tenure.client import AsyncClient, Client\n"
        "with tenure.open('http://127.0.0.1:9', 'tnr_x', retries=0) as client:\n"
        "    print(type(client) is Client)\n"
        "try:\n"
        "    tenure.open('tenure-data', 'tnr_x')\n"
        "except tenure.errors.Unsupported as refused:\n"
        "    print(refused.remedy)\n"
    )
    said = bare(program=program)
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines()[0] == "True"
    assert "tenure[server]" in said.stdout
