"""`tenure lifecycle`: what an operator sees of the bucket's rules, and how they are put right."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from tenure.cli.entry import app
from tenure.errors import Conflict
from tenure.governance.lifecycle import Lifecycle

RETENTION = {
    "apiVersion": "tenure/v1",
    "kind": "Retention",
    "metadata": {"name": "talks"},
    "spec": {"scopes": ["support.**"], "categories": "*", "coldFor": "90d", "archiveFor": "275d"}
    | {"deleteAfter": "365d"},
}


class Operator:
    """Runs `tenure lifecycle` on an embedded cell."""

    def __init__(self, cell, **env):
        self.cell = cell
        self.env = env

    def run(self, *arguments, who=None, **env):
        settings = self.cell.settings
        call = ["lifecycle", *arguments, "--data-dir", settings.data_dir, "--root-dir", settings.root_dir]
        given = {"TENURE_API_KEY": who or self.cell.operator_key, **self.env, **env}
        return CliRunner().invoke(app, [str(one) for one in call], env=given)

    def json(self, *arguments, code=0, **how):
        found = self.run(*arguments, "--json", **how)
        assert found.exit_code == code, found.output
        return json.loads(found.stdout)


@pytest.fixture
def declared(embedded):
    async def declare():
        async with embedded.opened() as tenure:
            await tenure.manifests.apply(embedded.one["admin"], json.dumps(RETENTION), dry_run=False)

    asyncio.run(declare())
    return embedded


@pytest.fixture
def folder(declared):
    return Operator(declared)


@pytest.fixture
def on_s3(declared, bucket):
    theirs = {"ID": "theirs", "Status": "Enabled", "Prefix": "logs/", "Expiration": {"Days": 900}}
    bucket.client.put_bucket_lifecycle_configuration(
        Bucket=bucket.name, LifecycleConfiguration={"Rules": [theirs]}
    )
    endpoint = bucket.server.endpoint
    yield Operator(declared, TENURE_OBJECTS_URL=bucket.url("cell"), TENURE_S3_ENDPOINT=endpoint)
    bucket.client.delete_bucket_lifecycle(Bucket=bucket.name)


def names(bucket):
    found = bucket.client.get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"]
    return sorted(one["ID"].rpartition("tenure-")[2].partition("-")[2] or one["ID"] for one in found)


@pytest.mark.s3
def test_plan_then_apply_then_no_drift(on_s3, bucket):
    found = on_s3.run("plan")
    assert found.exit_code == 0, found.output
    for words in ("added", "foreign", "theirs", "on day 90 to GLACIER, on day 374 gone", "2 added."):
        assert words in found.stdout.replace("\n", " ") or words in found.stdout, words
    assert names(bucket) == ["theirs"]
    drift = on_s3.run("drift")
    assert drift.exit_code == 1
    assert "tenure lifecycle apply" in drift.stdout
    assert "theirs" not in drift.stdout
    assert on_s3.json("drift", code=1)["drift"]

    found = on_s3.run("apply")
    assert found.exit_code == 0, found.output
    assert "Done: 2 added. Rules of others, kept as they are: 1." in found.stdout
    assert names(bucket) == ["a90-x374", "leftovers", "theirs"]
    assert on_s3.run("drift").exit_code == 0
    assert "nothing was changed" in on_s3.run("apply").stdout
    assert on_s3.json("apply")["applied"] is False
    assert "as they should be" in on_s3.run("plan").stdout


@pytest.mark.s3
def test_apply_does_what_was_shown_or_nothing(on_s3, bucket, monkeypatch):
    """Somebody else is there between the look and the deed."""
    real, seen = Lifecycle.plan, []

    async def plan(self, credential):
        seen.append(await real(self, credential))
        bucket.client.delete_bucket_lifecycle(Bucket=bucket.name)
        return seen[-1]

    monkeypatch.setattr(Lifecycle, "plan", plan)
    error = on_s3.json("apply", code=1)["error"]
    assert (error["kind"], error["field"]) == (Conflict.kind, "seen")
    monkeypatch.undo()


def test_a_folder_needs_no_rules(folder):
    for verb in ("plan", "drift", "apply"):
        found = folder.run(verb)
        assert found.exit_code == 0, found.output
        assert "needs no rules" in found.stdout
    assert folder.json("apply")["applied"] is False


@pytest.mark.parametrize("verb", ["plan", "drift", "apply"])
def test_is_the_operators_alone(folder, verb):
    found = folder.run(verb, "--json", who=folder.cell.one.keys["admin"])
    assert found.exit_code == 1
    assert json.loads(found.stdout)["error"]["kind"] == "denied"


@pytest.mark.parametrize(
    ("env", "field"),
    [
        ({"TENURE_COLD_CLASS": "GLACIER"}, "TENURE_COLD_CLASS"),
        ({"TENURE_ARCHIVE_CLASS": "STANDARD"}, "TENURE_ARCHIVE_CLASS"),
    ],
)
def test_a_wrong_storage_class_is_wrong_use_and_named(folder, env, field):
    error = folder.json("plan", code=2, **env)["error"]
    assert error["field"] == field
    assert error["rule"]
    assert error["remedy"]
