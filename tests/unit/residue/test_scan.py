"""Whole scans of folders: verdicts, names, what cannot be read, and that no report shows a value."""

import gzip
import json
import os
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenure.errors import Invalid
from tenure.mac import hmac_sha256
from tenure.residue import Limits, Value, scan

ADA = (Value(1, "ada@example.org", "email"), Value(2, "Ada Lovelace"))


@contextmanager
def as_nobody():
    """Without root's right to read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_clean_residue_and_counts(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"nothing here" * 1000)
    (tmp_path / "two").write_bytes(b"")
    report = scan([tmp_path], ADA)
    assert (report.verdict, report.files, report.read_bytes) == ("clean", 2, 12_000)
    (tmp_path / "a" / "b").mkdir()
    (tmp_path / "a" / "b" / "three.gz").write_bytes(gzip.compress(b"..Ada Lovelace.." + b"z" * 5000))
    report = scan([tmp_path], ADA)
    assert (report.verdict, report.files, report.unpacked_bytes) == ("residue", 3, 5016)
    nested = [finding for finding in report.findings if finding.encoding == "gzip>utf-8"]
    assert [(one.path, one.line, one.label, one.offset, one.inner) for one in nested] == [
        (str(tmp_path / "a" / "b" / "three.gz"), 2, "", 0, 2)
    ]


def test_a_single_file_and_the_same_file_twice(tmp_path):
    file = tmp_path / "file"
    file.write_text("ada@example.org")
    assert [one.label for one in scan([file], ADA).findings] == ["email"]
    assert scan([file, file], ADA).files == 2


def test_names_are_findings_and_masked_wherever_they_are_shown(tmp_path):
    folder = tmp_path / "for ADA LOVELACE"
    folder.mkdir()
    (folder / "ada%40example.org.txt").write_text("Ada Lovelace")
    (folder / "other").write_text("x")
    (folder / "link").symlink_to("/home/ada@example.org/x")
    report = scan([tmp_path], ADA)
    found = {(one.path.removeprefix(str(tmp_path)), one.line, one.encoding) for one in report.findings}
    assert found == {
        ("/[line 2]", 2, "name>utf-8"),
        ("/[line 2]/[line 1]", 1, "name>percent"),
        ("/[line 2]/[line 1]", 2, "utf-8"),
        ("/[line 2]/link", 1, "name>utf-8"),
    }
    assert report.links == 1
    given = scan([folder], ADA)
    assert {one.path for one in given.findings if one.encoding == "name>utf-8" and one.line == 2} == {
        f"{tmp_path}/[line 2]"
    }


def test_a_name_above_the_path_is_masked_and_no_finding(tmp_path):
    inside = tmp_path / "Ada Lovelace" / "inside"
    inside.mkdir(parents=True)
    (inside / "file").write_text("ada@example.org")
    (only,) = scan([inside], ADA).findings
    assert only.path == f"{tmp_path}/[line 2]/inside/file"


def test_names_that_are_not_utf_8(tmp_path):
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff"))).write_text("ada@example.org")
    (only,) = scan([tmp_path], ADA).findings
    assert only.path.endswith("/odd\\xff")
    json.dumps(scan([tmp_path], ADA).as_dict()).encode()


def test_what_cannot_be_read_is_incomplete_never_clean():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "file").write_text("nothing")
        (folder / "file").chmod(0)
        (folder / "inside").mkdir(mode=0)
        with as_nobody():
            report = scan([folder], ADA)
    assert report.verdict == "incomplete"
    assert {(gap.path, gap.reason, gap.detail) for gap in report.incomplete} == {
        (str(folder / one), "unreadable", "Permission denied") for one in ("file", "inside")
    }


def test_an_error_in_the_middle_of_a_file_keeps_what_was_found(tmp_path):
    """/proc/self/mem is a file that says EIO when it is read at 0."""
    report = scan([Path("/proc/self/mem")], ADA)
    assert (report.verdict, [gap.reason for gap in report.incomplete]) == ("incomplete", ["unreadable"])


def test_a_file_that_gets_shorter_while_it_is_read(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(bytes(1_000_000))
    shorten = iter([False, True])

    def stop():
        if next(shorten, False):
            os.truncate(file, 10)
        return False

    report = scan([file], ADA, limits=Limits(chunk=1000), stop=stop)
    assert [gap.reason for gap in report.incomplete] == ["changed"]


def test_pipes_given_by_name_are_gaps_and_in_folders_nothing(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert scan([tmp_path], ADA).verdict == "clean"
    assert [gap.reason for gap in scan([tmp_path / "pipe"], ADA).incomplete] == ["unreadable"]


def test_paths_that_are_not_there_stop_it_before_it_begins(tmp_path):
    with pytest.raises(Invalid) as caught:
        scan([tmp_path, tmp_path / "Ada Lovelace"], ADA)
    assert "number 2" in caught.value.detail
    assert "Ada" not in str(caught.value)
    with pytest.raises(Invalid):
        scan([], ADA)
    for share in (0, 1.5, -1, float("nan")):
        with pytest.raises(Invalid):
            scan([tmp_path], ADA, share=share)


def test_stopped_is_incomplete_and_keeps_what_was_found(tmp_path):
    (tmp_path / "file").write_bytes(b"ada@example.org" + bytes(10_000_000))
    calls = iter(range(100))
    report = scan([tmp_path], ADA, stop=lambda: next(calls) > 5)
    assert [gap.reason for gap in report.incomplete] == ["stopped"]
    assert report.verdict == "residue"
    assert report.read_bytes < 10_000_000
    calls = iter(range(100))
    (tmp_path / "file").write_bytes(bytes(10_000_000))
    assert scan([tmp_path], ADA, stop=lambda: next(calls) > 5).verdict == "incomplete"


def test_a_share_of_a_core_is_kept(tmp_path):
    (tmp_path / "file").write_bytes(os.urandom(3_000_000))
    used, began = time.thread_time(), time.monotonic()
    scan([tmp_path], ADA, share=0.25, limits=Limits(chunk=1 << 16))
    assert (time.thread_time() - used) / (time.monotonic() - began) < 0.5


def test_other_threads_go_on(tmp_path):
    (tmp_path / "file").write_bytes(os.urandom(2_000_000))
    reports = []
    thread = threading.Thread(target=lambda: reports.append(scan([tmp_path], ADA)))
    thread.start()
    thread.join()
    assert reports[0].verdict == "clean"


def test_the_commitment_opens_with_salt_and_values(tmp_path):
    one, two = scan([tmp_path], ADA), scan([tmp_path], ADA)
    assert one.commitment != two.commitment
    message = b"\0\0\0\x0fada@example.org\0\0\0\x0cAda Lovelace"
    assert one.commitment == hmac_sha256(one.salt, message)
    assert one.salt.hex() not in json.dumps(one.summary())
    assert one.as_dict()["values_salt"] == one.salt.hex()


def test_the_summary_is_what_a_certificate_may_carry(tmp_path):
    (tmp_path / "Ada Lovelace").write_text("ada@example.org ADA@EXAMPLE.ORG")
    summary = json.loads(json.dumps(scan([tmp_path], ADA).summary()))
    assert summary["verdict"] == "residue"
    assert (summary["values"], summary["values_found"], summary["findings"]) == (2, 2, 3)
    assert summary["does_not_show"]
    text = json.dumps(summary)
    assert str(tmp_path) not in text
    assert "email" not in text
    assert scan([tmp_path], ADA).as_dict()["found"]


SECRET = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=6, max_size=20)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secrets=st.lists(SECRET.filter(lambda text: len(text.strip()) > 5), min_size=1, max_size=3))
def test_no_report_shows_a_value(tmp_path_factory, secrets):
    folder = tmp_path_factory.mktemp("scanned")
    for number, secret in enumerate(secrets):
        inside = folder / f"f{number}"
        inside.mkdir()
        (inside / "file").write_text(secret)
        name = f"x{secret}y".replace("/", "_")
        (inside / name).write_bytes(gzip.compress(secret.encode())[:-3])
    values = [Value(line, text) for line, text in enumerate(secrets, 1)]
    report = scan([folder], values)
    assert report.verdict == "residue"
    shown = json.dumps(report.as_dict(), ensure_ascii=False) + repr(report) + repr(asdict(report))
    fixed = json.dumps(scan([folder], [Value(1, sha256(b"x").hexdigest())]).summary())
    for secret in secrets:
        if secret.casefold() not in fixed.casefold():
            assert secret.casefold() not in shown.replace(str(folder), "").casefold()
