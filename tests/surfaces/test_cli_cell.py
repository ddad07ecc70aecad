"""`tenure init`, `tenure doctor` and the settings' options, as an operator uses them."""

import gc
import json
import pathlib
import tempfile
import warnings

import pytest
from typer.testing import CliRunner

from tenure.cli.entry import app


def run(*arguments, env=None):
    """The command's result, read as JSON where it is."""
    with warnings.catch_warnings():
        # A connection that `prepare` leaves to the garbage collector is not what these tests are about.
        warnings.simplefilter("ignore", ResourceWarning)
        found = CliRunner().invoke(app, [str(one) for one in arguments], env=env)
        gc.collect()
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


@pytest.fixture
def places(tmp_path):
    return ["--data-dir", tmp_path / "data", "--root-dir", tmp_path / "root"]


@pytest.fixture
def made(places):
    assert run("init", *places).exit_code == 0
    return places


def checks(found):
    return {one["check"]: one for one in json.loads(found.stdout)["checks"]}


class TestInit:
    def test_prints_the_operators_key_once(self, places):
        first = run("init", *places, "--json")
        assert first.exit_code == 0
        assert list(json.loads(first.stdout)) == ["operator_key"]
        again = run("init", *places, "--json")
        assert again.exit_code == 1
        assert "operator_key" not in json.loads(again.stdout)

    def test_says_that_it_was_done_before(self, made):
        again = run("init", *made)
        assert again.exit_code == 1
        assert "has its operator already" in again.stdout
        assert "tnr_" not in again.stdout

    def test_options_override_the_environment(self, tmp_path):
        env = {"TENURE_DATA_DIR": str(tmp_path / "not"), "TENURE_ROOT_DIR": str(tmp_path / "root")}
        assert run("init", "--data-dir", tmp_path / "this", env=env).exit_code == 0
        assert (tmp_path / "this" / "tenure.db").exists()
        assert (tmp_path / "root" / "keys").is_dir()
        assert not (tmp_path / "not").exists()

    def test_a_setting_that_is_none_is_wrong_use_and_named(self, places):
        found = run("init", *places, "--ledger-origin", "Not A Host")
        assert found.exit_code == 2
        assert "TENURE_LEDGER_ORIGIN" in found.stderr
        assert "Traceback" not in found.output

    def test_an_unknown_option_is_wrong_use(self):
        assert run("init", "--nonsense").exit_code == 2

    def test_refuses_a_root_inside_the_data(self, tmp_path):
        found = run("init", "--data-dir", tmp_path, "--root-dir", tmp_path / "root", "--json")
        assert found.exit_code == 1
        assert json.loads(found.stdout)["error"]["field"] == "TENURE_ROOT_DIR"


class TestDoctor:
    def test_a_fresh_cell_is_well(self, made):
        found = run("doctor", *made, "--json")
        assert found.exit_code == 0
        assert json.loads(found.stdout)["ok"] is True
        apart = checks(found).pop("volumes apart")
        assert apart["state"] == "warning", "both are below one temporary folder"
        assert "snapshot" in apart["detail"]
        assert checks(found).pop("out of sight")["state"] == "not checked"
        apart = ("volumes apart", "out of sight")
        assert {one["state"] for one in checks(found).values() if one["check"] not in apart} == {"ok"}
        assert "published" in checks(found)["ledger"]["detail"]

    def test_prints_a_table_for_people(self, made):
        found = run("doctor", *made)
        assert found.exit_code == 0
        assert "root apart" in found.stdout

    def test_nothing_here_is_a_no_with_a_remedy_and_makes_nothing(self, places, tmp_path):
        found = run("doctor", *places, "--json")
        assert found.exit_code == 1
        assert checks(found)["opens"]["remedy"] == "Run 'tenure init'."
        assert list(tmp_path.iterdir()) == []

    def test_finds_a_key_that_others_can_read(self, made, tmp_path):
        next((tmp_path / "root" / "keys").glob("root-*.key")).chmod(0o640)
        found = run("doctor", *made, "--json")
        assert found.exit_code == 1
        assert checks(found)["root files"]["state"] == "failed"
        assert "chmod" in checks(found)["root files"]["remedy"]

    def test_warns_of_a_mirror_that_travels_with_the_data(self, tmp_path):
        where = ["--data-dir", tmp_path / "data", "--root-dir", tmp_path / "root"]
        where += ["--mirror-url", f"file://{tmp_path / 'data' / 'mirror'}"]
        assert run("init", *where).exit_code == 0
        found = run("doctor", *where, "--json")
        assert found.exit_code == 0
        assert checks(found)["mirror apart"]["state"] == "warning"

    def test_objects_that_hold_the_mirror_or_the_root_are_found(self, tmp_path):
        where = ["--data-dir", tmp_path / "data", "--root-dir", tmp_path / "other" / "root"]
        where += ["--objects-url", f"file://{tmp_path / 'other'}"]
        assert run("init", *where).exit_code == 0
        found = run("doctor", *where, "--json")
        assert found.exit_code == 1
        assert checks(found)["mirror apart"]["state"] == "warning"
        assert checks(found)["objects apart"]["state"] == "failed"

    def test_places_in_one_bucket_are_found(self, made):
        one = ["--objects-url", "s3://bucket/cell", "--mirror-url", "s3://bucket/cell/mirror"]
        found = run("doctor", *made, *one, "--s3-endpoint", "http://127.0.0.1:9", "--json")
        assert found.exit_code == 1
        assert checks(found)["mirror apart"]["state"] == "warning"
        assert checks(found)["opens"]["state"] == "failed"
        apart = ["--objects-url", "s3://bucket/cell", "--mirror-url", "s3://other/cell"]
        found = run("doctor", *made, *apart, "--s3-endpoint", "http://127.0.0.1:9", "--json")
        assert checks(found)["mirror apart"]["state"] == "ok"

    def test_a_place_that_is_none_is_found(self, made):
        found = run("doctor", *made, "--objects-url", "s3://key:secret@bucket", "--json")
        assert found.exit_code == 1
        assert checks(found)["places"]["state"] == "failed"
        assert "secret" not in found.output

    def test_another_volume_is_well(self, tmp_path):
        shared = pathlib.Path("/dev/shm")
        if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is no second file system here")
        with tempfile.TemporaryDirectory(dir=shared) as root:
            where = ["--data-dir", tmp_path / "data", "--root-dir", root]
            assert run("init", *where).exit_code == 0
            found = run("doctor", *where, "--json")
            assert checks(found)["volumes apart"]["state"] == "ok"

    def test_a_lost_root_key_does_not_open(self, made, tmp_path):
        for key in (tmp_path / "root" / "keys").glob("root-*.key"):
            key.unlink()
        found = run("doctor", *made, "--json")
        assert found.exit_code == 1
        assert checks(found)["opens"]["state"] == "failed"

    def test_the_services_own_role_on_postgres_is_well(self, scaled):
        found = run("doctor", *_urls(scaled), "--json")
        assert checks(found)["database role"]["state"] == "ok"
        assert found.exit_code == 0

    def test_a_superuser_on_postgres_is_not(self, scaled):
        where = _urls(scaled)
        where[where.index("--database-url") + 1] = scaled.admin_url
        found = run("doctor", *where, "--json")
        assert checks(found)["database role"]["state"] == "failed"
        assert "row-level security" in checks(found)["database role"]["detail"]
        assert checks(found)["opens"]["state"] == "failed"
        assert "deploy/postgres.sql" in checks(found)["opens"]["remedy"]
        assert found.exit_code == 1

    def test_a_table_without_forced_security_is_not(self, scaled):
        scaled.change("ALTER TABLE holds NO FORCE ROW LEVEL SECURITY")
        try:
            found = run("doctor", *_urls(scaled), "--quick", "--json")
        finally:
            scaled.change("ALTER TABLE holds FORCE ROW LEVEL SECURITY")
        assert checks(found)["database role"]["state"] == "failed"
        assert checks(found)["opens"]["state"] == "failed"
        assert found.exit_code == 1

    def test_the_owner_of_the_tables_is_not(self, scaled):
        where = _urls(scaled)
        where[where.index("--database-url") + 1] = scaled.settings.migration_url
        found = run("doctor", *where, "--json")
        assert checks(found)["database role"]["state"] == "failed"
        assert "owns" in checks(found)["database role"]["detail"]


def _urls(cell):
    settings = cell.settings
    places = ["--data-dir", settings.data_dir, "--root-dir", settings.root_dir]
    return [*places, "--database-url", settings.database_url]
