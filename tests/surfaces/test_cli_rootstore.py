"""`tenure rootstore`: what an operator sees of the root key, its rotation and its move."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from support.softhsm import PIN
from tenure.cli.entry import app


class Operator:
    """Runs `tenure rootstore` on an embedded cell."""

    def __init__(self, cell):
        self.cell = cell

    def run(self, *arguments, who=None, **env):
        settings = self.cell.settings
        call = ["rootstore", *arguments, "--data-dir", settings.data_dir, "--root-dir", settings.root_dir]
        key = who or self.cell.operator_key
        return CliRunner().invoke(app, [str(one) for one in call], env={"TENURE_API_KEY": key, **env})

    def json(self, *arguments, code=0, **env):
        found = self.run(*arguments, "--json", **env)
        assert found.exit_code == code, found.output
        return json.loads(found.stdout)


@pytest.fixture
def operator(embedded):
    return Operator(embedded)


def test_status_says_where_the_key_is_and_that_it_works(operator):
    found = operator.run("status")
    assert found.exit_code == 0, found.output
    for words in ("provider   files", "Best effort", "version 1, opens", "live"):
        assert words in found.stdout
    status = operator.json("status")
    assert (status["provider"], status["live"], status["opens"]) == ("files", 1, True)
    assert [(one["version"], one["state"]) for one in status["versions"]] == [(1, "live")]


def test_rotate_leaves_one_live_version(operator):
    found = operator.json("rotate")
    assert found["live"] == 2
    assert [(one["version"], one["state"]) for one in found["versions"]] == [(1, "destroyed"), (2, "live")]
    assert operator.json("status")["live"] == 2
    assert "destroyed" in operator.run("status").stdout


def test_migrate_moves_the_key_and_the_previous_store_can_go(operator, tmp_path):
    async def write():
        async with operator.cell.opened():
            await operator.cell.put("k", "kept", "customer:1")

    async def read(where):
        async with operator.cell.opened(root_store=where):
            return await operator.cell.value("k")

    asyncio.run(write())
    new = f"files://{tmp_path / 'elsewhere'}"
    moving = {"TENURE_ROOT_STORE": new, "TENURE_ROOT_STORE_PREVIOUS": "files:"}
    assert operator.json("status", **moving)["previous"]["provider"] == "files"
    found = operator.run("migrate", **moving)
    assert found.exit_code == 0, found.output
    assert "unset TENURE_ROOT_STORE_PREVIOUS" in found.stdout
    assert list((operator.cell.settings.root_dir / "keys").glob("*.key")) == []
    status = operator.json("status", TENURE_ROOT_STORE=new)
    assert (status["live"], status["previous"]) == (2, None)
    assert asyncio.run(read(new)) == "kept"


@pytest.mark.softhsm
def test_a_token_in_the_settings_shows_no_pin(operator, softhsm):
    moving = {"TENURE_ROOT_STORE": softhsm.url, "TENURE_ROOT_STORE_PREVIOUS": "files:"}
    found = operator.run("migrate", **moving)
    assert found.exit_code == 0, found.output
    assert "pkcs11" in found.stdout
    assert PIN not in found.output


def test_migrate_without_a_second_store_is_a_no_with_a_remedy(operator):
    error = operator.json("migrate", code=1)["error"]
    assert error["field"] == "TENURE_ROOT_STORE_PREVIOUS"
    assert "TENURE_ROOT_STORE" in error["remedy"]
    assert operator.json("status")["live"] == 1


@pytest.mark.parametrize(
    ("env", "field"),
    [
        ({"TENURE_ROOT_STORE": "vault:x"}, "TENURE_ROOT_STORE"),
        ({"TENURE_ROOT_STORE": "aws-kms:imported?cell=main"}, "TENURE_ROOT_STORE"),
        ({"TENURE_ROOT_STORE_PREVIOUS": "files:"}, "TENURE_ROOT_STORE_PREVIOUS"),
        ({"TENURE_ROOT_STORE_PREVIOUS": "vault:x"}, "TENURE_ROOT_STORE_PREVIOUS"),
    ],
)
def test_a_wrong_setting_is_wrong_use_and_named(operator, env, field):
    error = operator.json("status", code=2, **env)["error"]
    assert error["field"] == field
    assert error["rule"]
    assert error["remedy"]


@pytest.mark.parametrize("verb", ["status", "rotate", "migrate"])
def test_is_the_operators_alone(operator, verb):
    found = operator.run(verb, "--json", who=operator.cell.one.keys["admin"])
    assert found.exit_code == 1
    assert json.loads(found.stdout)["error"]["kind"] == "denied"
    assert operator.json("status")["live"] == 1


def test_doctor_knows_of_stores_that_are_not_files(operator, tmp_path):
    settings = operator.cell.settings
    places = ["--data-dir", str(settings.data_dir), "--root-dir", str(settings.root_dir), "--json"]
    new = f"files://{tmp_path / 'elsewhere'}"
    moving = {"TENURE_ROOT_STORE": new, "TENURE_ROOT_STORE_PREVIOUS": "files:"}
    assert operator.run("migrate", **moving).exit_code == 0

    def doctor(**env):
        found = CliRunner().invoke(app, ["doctor", *places], env=env)
        return found.exit_code, {one["check"]: one for one in json.loads(found.stdout)["checks"]}

    code, checks = doctor(**moving)
    assert (code, checks["root store"]["state"]) == (0, "warning")
    assert "migrate" in checks["root store"]["remedy"]
    code, checks = doctor(TENURE_ROOT_STORE=new)
    assert (code, checks["root files"]["state"], checks["opens"]["state"]) == (0, "ok", "ok")
    code, checks = doctor(TENURE_ROOT_STORE="vault:x")
    assert (code, checks["opens"]["state"]) == (1, "failed")
    code, checks = doctor(TENURE_ROOT_STORE="files:relative")
    assert (code, checks["root store"]["state"]) == (1, "failed")
    code, checks = doctor(TENURE_ROOT_STORE="pkcs11:?module=/no.so&token=t&cell=main", TENURE_PKCS11_PIN="x")
    assert (code, checks["opens"]["state"]) == (1, "failed")
    assert "root files" not in checks
