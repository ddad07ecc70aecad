"""`tenure verify` and `tenure audit` as someone uses them: exit codes, what is printed, what is refused."""

import functools
import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import typer
from typer.testing import CliRunner

from tenure.cli.verify import audit, verify
from tenure.client import audit_log, open_source, verify_file
from tenure.errors import Invalid, Unavailable
from tenure.ledger.certificate import issue_certificate
from tenure.ledger.entry import Access, Action
from tenure.ledger.note import Signer
from tenure.ledger.receipt import build_receipt
from tenure.ledger.tree import inclusion
from unit.ledger.logs import ORIGIN, SIGNER, WRITER, a_draft, an_id, bundle_path, entries, publish

APP = typer.Typer()
APP.command()(verify)
APP.command()(audit)
CERTIFICATE = {
    "v": 1,
    "kind": "erasure-certificate",
    "id": an_id(1),
    "tenant": an_id(2),
    "origin": ORIGIN,
    "shred": an_id(3),
    "issued_at": "2026-09-21T14:13:20.000002Z",
    "steps": [{"step": "destroy"}],
    "keys": {"provider": "files"},
    "proves": ["The operator stated the destruction."],
    "does_not_prove": ["That nobody copied the content before."],
    "entry": "00112233445566ff-9",
}


def run(*arguments, env=None):
    return CliRunner().invoke(APP, [str(argument) for argument in arguments], env=env)


@pytest.fixture
def receipt(tmp_path):
    log = publish(entries(5))
    path = tmp_path / "one.tlog-proof"
    path.write_text(build_receipt(log.entries[3], 3, inclusion(3, 5, log.read_tile), log.checkpoint))
    return path


@pytest.fixture
def certificate(tmp_path):
    path = tmp_path / "one.json"
    path.write_text(issue_certificate(CERTIFICATE, SIGNER))
    return path


def flip(path, at):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


# ── verify ─────────────────────────────────────────────────────────────────────────────────────────
def test_receipt_and_certificate_verify_and_say_what_was_not_checked(receipt, certificate):
    done = run("verify", receipt, certificate, "--vkey", SIGNER.vkey)
    assert done.exit_code == 0, done.output
    assert f"receipt {receipt}: verified" in done.output
    assert f"certificate {certificate}: verified" in done.output
    assert "  entry: 3 of 5" in done.output
    assert f"access: returned {an_id(3)} version 4" in done.output
    assert "not checked: Whether anything is missing from the log" in done.output
    assert "That nobody copied the content before." in done.output
    assert "trust on first use" not in done.output


def test_json_has_the_entry_and_every_finding(receipt, certificate):
    done = run("verify", receipt, certificate, "--vkey", SIGNER.vkey, "--json")
    document = json.loads(done.output)
    assert document["ok"]
    first, second = document["items"]
    assert (first["kind"], first["entry"]["n"], first["index"]) == ("receipt", 3, 3)
    assert (first["checkpoint"]["origin"], first["checkpoint"]["size"]) == (ORIGIN, 5)
    assert (second["kind"], second["certificate"]) == ("certificate", CERTIFICATE)
    flip(receipt, 40)
    done = run("verify", receipt, certificate, "--vkey", SIGNER.vkey, "--json")
    document = json.loads(done.output)
    assert (done.exit_code, document["ok"]) == (1, False)
    assert [item["ok"] for item in document["items"]] == [False, True]


def test_one_bad_file_among_good_ones_is_exit_code_1(receipt, certificate):
    certificate.write_text(certificate.read_text().replace('"eyJ', '"ezJ'))
    done = run("verify", receipt, certificate, "--vkey", SIGNER.vkey)
    assert done.exit_code == 1
    assert f"certificate {certificate}: FAILED" in done.output
    assert "failed: bad-signature: " in done.output


@pytest.mark.parametrize("name", ["vkey", "one.tlog-proof.vkey"])
def test_a_key_beside_the_file_is_used_and_that_is_said(receipt, name):
    (receipt.parent / name).write_text(SIGNER.vkey + "\n")
    done = run("verify", receipt)
    assert done.exit_code == 0, done.output
    assert "trust on first use" in done.output


def test_keys_come_from_files_too(receipt, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"{Signer('tenure.test/log/other', bytes(32)).vkey}\n\n{SIGNER.vkey}\n")
    assert run("verify", receipt, "--vkey", f"@{keys}").exit_code == 0


def test_a_key_that_is_not_the_logs_is_a_failed_check(receipt):
    done = run("verify", receipt, "--vkey", Signer(ORIGIN, bytes(32)).vkey)
    assert done.exit_code == 1
    assert "unknown-key" in done.output


def test_line_ends_are_not_mended(receipt):
    receipt.write_bytes(receipt.read_bytes().replace(b"\n", b"\r\n"))
    assert run("verify", receipt, "--vkey", SIGNER.vkey).exit_code == 1


def test_a_file_of_another_kind_is_a_failed_check(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\xff\0 something")
    done = run("verify", path, "--vkey", SIGNER.vkey)
    assert done.exit_code == 1
    assert "unknown-format" in done.output


def test_long_access_lists_are_cut_on_screen_only(tmp_path):
    draft = a_draft(1, accesses=[Access(an_id(n), 1, Action.LISTED) for n in range(70)])
    raw = [entries(1)[0], draft.encode(WRITER, 1)]
    log = publish(raw)
    path = tmp_path / "one.tlog-proof"
    listed = draft.separate_list()[1]
    path.write_text(build_receipt(raw[1], 1, inclusion(1, 2, log.read_tile), log.checkpoint, listed))
    done = run("verify", path, "--vkey", SIGNER.vkey)
    assert done.exit_code == 0
    assert "and 20 more" in done.output
    document = json.loads(run("verify", path, "--vkey", SIGNER.vkey, "--json").output)
    assert len(document["items"][0]["accesses"]) == 70


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify",),
        ("verify", "nowhere.tlog-proof", "--vkey", SIGNER.vkey),
        ("verify", "{receipt}"),
        ("verify", "{receipt}", "--vkey", "not a key"),
        ("verify", "{receipt}", "--vkey", "@nowhere"),
        ("audit",),
        ("audit", "nowhere", "--vkey", SIGNER.vkey),
        ("audit", "{folder}"),
        ("audit", "{folder}", "--vkey", SIGNER.vkey, "--earlier", "nowhere"),
        ("audit", "http://[", "--vkey", SIGNER.vkey),
    ],
)
def test_wrong_use_is_exit_code_2_and_says_that_nothing_was_checked(receipt, arguments):
    parts = [part.format(receipt=receipt, folder=receipt.parent) for part in arguments]
    done = run(*parts)
    assert done.exit_code == 2
    assert "verified" not in done.output


# ── audit ──────────────────────────────────────────────────────────────────────────────────────────
def test_an_intact_folder_passes_and_its_own_key_is_named_as_such(tmp_path):
    publish(entries(300)).write(tmp_path)
    done = run("audit", tmp_path)
    assert done.exit_code == 0, done.output
    assert f"log {tmp_path}: verified" in done.output
    assert "entries: 300 read of 300 signed" in done.output
    assert "trust on first use" in done.output
    assert "not checked: Whether the log was rolled back" in done.output


def test_earlier_checkpoints(tmp_path):
    log, before, after = publish(entries(300)), tmp_path / "before", tmp_path / "after"
    log.write(tmp_path)
    before.write_text(publish(entries(200)).checkpoint)
    after.write_text(publish(entries(301)).checkpoint)
    done = run("audit", tmp_path, "--vkey", SIGNER.vkey, "--earlier", before)
    assert done.exit_code == 0
    assert "extends: the checkpoint of 200 entries" in done.output
    done = run("audit", tmp_path, "--vkey", SIGNER.vkey, "--earlier", before, "--earlier", after)
    assert done.exit_code == 1
    assert "failed: rollback: " in done.output


def test_a_flipped_byte_is_exit_code_1_with_its_place_in_json(tmp_path):
    publish(entries(300)).write(tmp_path)
    flip(tmp_path / bundle_path(300, 299), -5)
    done = run("audit", tmp_path, "--json")
    document = json.loads(done.output)
    assert done.exit_code == 1
    assert not document["ok"]
    (failure,) = document["failures"]
    assert (failure["check"], failure["index"]) == ("entry-flipped", 299)
    assert "(entry 299)" in run("audit", tmp_path).output


class Served(BaseHTTPRequestHandler):
    def __init__(self, files, token, *arguments):
        self.files, self.token = files, token
        super().__init__(*arguments)

    def do_GET(self):
        path = self.path.removeprefix("/v1/ledger/")
        if self.token and self.headers["Authorization"] != f"Bearer {self.token}":
            self.send_error(401)
        elif path not in self.files:
            self.send_error(404)
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.files[path])

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def served(files, token=None):
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Served, files, token)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/ledger"
        finally:
            server.shutdown()
            thread.join()


def test_a_url_is_audited_with_a_token_from_the_environment():
    log = publish(entries(300))
    log.files["key"] = json.dumps({"vkey": SIGNER.vkey}).encode()
    with served(log.files, "tnr_secret") as url:
        assert run("audit", url, "--vkey", SIGNER.vkey).exit_code == 2
        done = run("audit", url, env={"TENURE_API_KEY": "tnr_secret"})
        assert done.exit_code == 0, done.output
        assert "trust on first use" in done.output
        assert "tnr_secret" not in done.output
        log.files["tile/0/000"] = bytes(8192)
        assert run("audit", url + "/", "--token", "tnr_secret", "--vkey", SIGNER.vkey).exit_code == 1
        del log.files["key"]
        assert run("audit", url, "--token", "tnr_secret").exit_code == 2
        log.files["key"] = b"[]"
        assert run("audit", url, "--token", "tnr_secret").exit_code == 2


def test_a_server_that_does_not_answer_is_not_a_verdict():
    with served({}) as url:
        gone = url
    done = run("audit", gone, "--vkey", SIGNER.vkey)
    assert done.exit_code == 2
    assert "not finished" in done.output
    with open_source(gone) as source, pytest.raises(Unavailable):
        source("checkpoint")


def test_on_a_terminal_there_is_a_table_that_says_the_same(receipt, tmp_path):
    terminal = {"FORCE_COLOR": "1", "COLUMNS": "200"}
    done = run("verify", receipt, "--vkey", SIGNER.vkey, env=terminal)
    assert done.exit_code == 0
    assert "\x1b[" in done.output
    for text in (": verified", an_id(3), "not checked", "Whether anything is missing"):
        assert text in done.output
    publish(entries(3)).write(tmp_path)
    flip(tmp_path / "tile/0/000.p/3", 0)
    done = run("audit", tmp_path, env=terminal)
    assert done.exit_code == 1
    assert "FAILED" in done.output
    assert "tile-mismatch" in done.output


# ── the client without the command line ────────────────────────────────────────────────────────────
def test_the_client_gives_reports(receipt, tmp_path):
    assert verify_file(receipt, [SIGNER.vkey]).report.ok
    with pytest.raises(Invalid):
        verify_file(receipt)
    publish(entries(3)).write(tmp_path / "log")
    with open_source(str(tmp_path / "log")) as source:
        assert audit_log(source, [SIGNER.vkey]).ok
    with pytest.raises(Invalid):
        open_source(str(tmp_path / "nowhere"))


def test_the_bare_install_is_enough():
    """Only the client's own dependencies can be imported, as after `pip install tenure`."""
    script = """
import sys
server_side = {"uuid_utils", "pydantic", "pydantic_settings", "sqlalchemy", "litestar", "yaml", "casbin"}
server_side |= {"structlog", "granian", "alembic", "apscheduler", "psycopg"}
class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in server_side:
            raise ImportError(name)
sys.meta_path.insert(0, Bare())
import tenure.client, tenure.cli.verify
import pkgutil, importlib, tenure.ledger
for module in pkgutil.iter_modules(tenure.ledger.__path__, "tenure.ledger."):
    importlib.import_module(module.name)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
