"""`tenure residue` as a data protection officer uses it: exit codes, both outputs, and no value in either."""

import gzip
import json
import subprocess
import sys
import zlib

import pytest
from typer.testing import CliRunner

from tenure.cli.entry import app

VALUES = "ada@example.org\nname\tAda Lovelace\n"
SECRETS = ("ada@example.org", "Ada Lovelace", "ada lovelace")


def run(*arguments, given=None):
    found = CliRunner().invoke(app, ["residue", *map(str, arguments)], input=given)
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    for secret in SECRETS:
        assert secret not in found.output
    return found


@pytest.fixture
def values(tmp_path):
    file = tmp_path / "values.txt"
    file.write_text(VALUES)
    return file


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "dump"
    made.mkdir()
    (made / "a.log").write_text("all quiet\n" * 100)
    return made


def test_clean_is_0_and_says_what_it_does_not_show(folder, values):
    found = run(folder, "--values", values)
    assert found.exit_code == 0
    assert "clean: 2 values, 1 files" in found.stdout
    assert "does not show: " in found.stdout


def test_residue_is_1_and_says_where(folder, values):
    (folder / "b.gz").write_bytes(gzip.compress(b"\n".join([b"-" * 90, b"ADA@example.org"] * 9)))
    (folder / "ada lovelace.txt").write_text("")
    found = run(folder, "--values", values)
    assert found.exit_code == 1
    assert "gzip>utf-8" in found.stdout
    assert "[line 2]" in found.stdout
    document = json.loads(run(folder, "--values", values, "--json").stdout)
    assert document["verdict"] == "residue"
    packed = next(one for one in document["found"] if one["encoding"] == "gzip>utf-8")
    assert (packed["line"], packed["offset"], packed["inner"], packed["count"]) == (1, 0, 91, 9)
    named = next(one for one in document["found"] if one["encoding"].startswith("name"))
    assert (named["label"], named["offset"]) == ("name", None)


def test_incomplete_is_3_and_says_why(folder, values):
    (folder / "c.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(100))
    found = run(folder, "--values", values)
    assert found.exit_code == 3
    assert "Not looked at" in found.stdout
    document = json.loads(run(folder, "--values", values, "--json").stdout)
    assert (document["verdict"], document["incomplete"]) == ("incomplete", {"unknown-format": 1})
    assert document["gaps"][0]["means"]


def test_residue_wins_over_incomplete(folder, values):
    (folder / "c.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + b"Ada Lovelace")
    assert run(folder, "--values", values).exit_code == 1


def test_the_unpack_limit_can_be_raised(folder, values):
    assert run(folder, "--values", values, "--unpack-limit", "0").exit_code == 2
    document = json.loads(run(folder, "--values", values, "--unpack-limit", "2", "--json").stdout)
    assert document["unpack_limit"] == 2 << 30


def test_values_on_standard_input(folder):
    (folder / "x").write_bytes(zlib.compress(b"Ada Lovelace, " * 50))
    assert run(folder, "--values", "-", given=VALUES).exit_code == 1
    assert run(folder, "--values", "-", given="somebody else").exit_code == 0


@pytest.mark.parametrize("text", ["abc\n", "", "Ada Lovelace!\tvalue that is long"])
def test_bad_values_are_2_and_never_shown(folder, tmp_path, text):
    file = tmp_path / "bad.txt"
    file.write_text(text)
    found = run(folder, "--values", file)
    assert found.exit_code == 2
    assert found.stdout == ""
    assert "what to do" in found.stderr
    document = json.loads(run(folder, "--values", file, "--json").stdout)
    assert document["error"]["field"] == "values"


def test_no_file_of_values_no_path_no_arguments_are_2(folder, values, tmp_path):
    assert run(folder, "--values", tmp_path / "none").exit_code == 2
    assert run(tmp_path / "none", "--values", values).exit_code == 2
    assert run("--values", values).exit_code == 2
    assert run(folder).exit_code == 2


def test_values_that_lie_under_the_path_are_2(tmp_path, folder, values):
    found = run(tmp_path, "--values", values)
    assert found.exit_code == 2
    assert "under a path" in found.stderr
    assert run(values, "--values", values).exit_code == 2


def test_values_never_reach_standard_error_of_a_real_process(folder, values):
    (folder / "ada lovelace").write_text("ada@example.org")
    program = "import sys; from tenure.cli.entry import main; sys.argv[0] = 'tenure'; main()"
    command = [sys.executable, "-c", program, "residue", str(folder), "--values", str(values)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert not any(secret in found.stdout + found.stderr for secret in SECRETS)
