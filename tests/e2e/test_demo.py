"""`tenure demo`: the whole story, told to its end, and what it leaves behind."""

import gc
import json
import shlex
import shutil
import warnings
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from tenure.cli.demo import afterwards, airline, dataset
from tenure.cli.demo.cast import write
from tenure.cli.entry import app
from tenure.client import verify_file


def run(*arguments, env=None):
    with warnings.catch_warnings():
        # A connection that `prepare` leaves to the garbage collector is not what these tests are about.
        warnings.simplefilter("ignore", ResourceWarning)
        found = CliRunner().invoke(app, [str(one) for one in arguments], env=env)
        gc.collect()
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The story as JSON, and the folder that it kept."""
    folder = tmp_path_factory.mktemp("demo") / "kept"
    found = run("demo", "--keep", folder, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout), folder


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The story as people read it, where the environment names a cell of theirs; and the folder around it."""
    folder = tmp_path_factory.mktemp("shown")
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    env = {f"TENURE_{name}": nowhere for name in ("DATABASE_URL", "MIGRATION_URL")}
    env |= {"TENURE_DATA_DIR": str(folder / "mine"), "TENURE_ROOT_DIR": str(folder / "root")}
    found = run("demo", "--keep", folder / "kept", env=env)
    assert found.exit_code == 0, found.output
    return found.stdout, folder


def facts(story, title):
    return next(act["facts"] for act in story["acts"] if act["title"] == title)


class TestStory:
    def test_tells_its_acts_in_order(self, told):
        titles = [act["title"] for act in told[0]["acts"]]
        assert titles == [
            "Write",
            "Governed read",
            "Denial",
            "A decision",
            "Receipt",
            "Backup",
            "Erasure",
            "The old backup comes back",
        ]

    def test_the_erased_customer_is_gone_and_the_others_are_not(self, told):
        data = dataset.shipped()
        gone = len(data.about(data.erase))
        records = sum(1 for _ in data.everything())
        erased, restored = facts(told[0], "Erasure"), facts(told[0], "The old backup comes back")
        assert gone > 1
        assert (erased["gone"], erased["left"]) == (gone, records - gone)
        assert (restored["gone"], restored["left"]) == (gone, records - gone)

    def test_the_restore_is_named_in_a_new_ledger(self, told):
        restored = facts(told[0], "The old backup comes back")
        assert restored["generation"] == 2
        assert restored["lost"] > 0

    def test_every_receipt_verifies(self, told):
        story, folder = told
        receipts = list((folder / "receipts").iterdir())
        assert len(receipts) == facts(story, "A decision")["decisions"]
        for path in receipts:
            assert verify_file(path, [story["vkey"]]).report.ok

    def test_ends_with_one_command_that_verifies_the_receipt(self, told):
        program, *arguments = shlex.split(told[0]["verify"])
        assert program == "tenure"
        assert run(*arguments).exit_code == 0
        changed = [*arguments[:-1], arguments[-1][:-4] + "AAAA"]
        assert run(*changed).exit_code != 0


class TestKept:
    def test_leaves_the_store_with_its_credentials_and_no_backup(self, told):
        folder = told[1]
        assert set(json.loads((folder / "credentials.json").read_text())) == {
            "operator",
            "admin",
            "agent",
            "dpo",
            "auditor",
        }
        assert (folder / "credentials.json").stat().st_mode & 0o077 == 0
        assert {path.name for path in folder.iterdir()} == {
            "data",
            "root",
            "credentials.json",
            "receipts",
            "certificate.json",
            "vkey",
        }

    def test_what_is_left_opens_and_its_keys_work(self, told):
        folder = told[1]
        places = ["--data-dir", folder / "data", "--root-dir", folder / "root"]
        assert run("doctor", *places).exit_code == 0
        keys = json.loads((folder / "credentials.json").read_text())
        found = run("get", "Scope", *places, "--json", env={"TENURE_API_KEY": keys["admin"]})
        assert len(json.loads(found.stdout)["items"]) == 4

    def test_the_erased_customer_is_nowhere_in_it(self, told):
        """Not as text: that ciphertext stays unreadable is for the canary scan to show."""
        words = [b"Lindqvist", b"greta@example.com", b"customer:101", b"hip was replaced"]
        for path in (one for one in told[1].rglob("*") if one.is_file()):
            content = path.read_bytes()
            assert not any(word in content for word in words), path

    def test_keeps_away_from_the_cell_that_the_environment_names(self, shown):
        assert [path.name for path in shown[1].iterdir()] == ["kept"]

    def test_does_not_touch_a_folder_that_is_in_use(self, tmp_path):
        (tmp_path / "mine").write_text("mine")
        found = run("demo", "--keep", tmp_path)
        assert found.exit_code == 2
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]


class TestFailure:
    def test_a_backup_that_is_not_put_back_fails_the_story(self, monkeypatch, tmp_path):
        monkeypatch.setattr(afterwards, "put_back", lambda *_: None)
        found = run("demo", "--keep", tmp_path / "kept")
        assert found.exit_code == 1
        assert "The story fails: The cell did not notice" in found.stdout

    def test_a_root_that_comes_back_with_the_data_fails_the_story(self, monkeypatch, tmp_path):
        """What the story warns of: with the root in the backup, the person would be back."""
        whole, kept = tmp_path / "root-copy", tmp_path / "kept"
        back_up, put_back = afterwards.act_back_up, afterwards.put_back

        def back_up_all(story, settings):
            shutil.copytree(settings.root_dir, whole)
            return back_up(story, settings)

        def put_all_back(copy, settings):
            put_back(copy, settings)
            shutil.rmtree(settings.root_dir)
            shutil.copytree(whole, settings.root_dir)

        monkeypatch.setattr(afterwards, "act_back_up", back_up_all)
        monkeypatch.setattr(afterwards, "put_back", put_all_back)
        found = run("demo", "--keep", kept, "--json")
        assert found.exit_code == 1
        assert json.loads(found.stdout)["ok"] is False

    def test_another_customers_record_that_changed_fails_the_story(self, monkeypatch, tmp_path):
        data = dataset.shipped()
        other = next(item for item in data.items if item.place not in data.about(data.erase))
        restore = afterwards.act_restore

        async def after_a_change(story, cast):
            await write(cast.agent, replace(other, content={"changed": True}))
            await restore(story, cast)

        monkeypatch.setattr(afterwards, "act_restore", after_a_change)
        found = run("demo", "--keep", tmp_path / "kept")
        assert found.exit_code == 1
        assert "The story fails: A record has changed." in found.stdout

    def test_a_record_that_is_gone_beyond_the_customers_own_fails_the_story(self, monkeypatch, tmp_path):
        about = dataset.DataSet.about
        monkeypatch.setattr(
            dataset.DataSet, "about", lambda self, subject: frozenset(list(about(self, subject))[1:])
        )
        found = run("demo", "--keep", tmp_path / "kept")
        assert found.exit_code == 1
        assert "Not exactly the records" in found.stdout


class TestForPeople:
    def test_prints_a_table_per_act_and_no_bars(self, shown):
        said, folder = shown
        acts = said.split("── Act ")[1:]
        assert len(acts) == 8
        assert all("───" in act for act in acts)
        assert "\x1b" not in said
        assert "403 denied" in acts[2]
        assert "410 erased" in acts[6]
        assert "410" in acts[7]
        receipt = folder / "kept" / "receipts" / "decision-1.txt"
        assert f"\n  {receipt}\n" in said
        assert f"\n  tenure verify {receipt} --vkey " in said


USER = {
    "name": {"first_name": "Ann", "last_name": "Ek"},
    "email": "ann@example.com",
    "dob": "1980-01-01",
    "saved_passengers": [{"first_name": "Bo", "last_name": "Ek", "dob": "1982-02-02"}],
}
ANN = {"first_name": "Ann", "last_name": "Ek", "dob": "1980-01-01"}
FLIGHT = {"user_id": "ann_ek_1", "passengers": [ANN]}
TWO = {"user_id": "ann_ek_1", "passengers": [*FLIGHT["passengers"], *USER["saved_passengers"]]}
LOOKS_UP = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "function": {"name": "get", "arguments": '{"reservation_id": "R2"}'}}],
}
SAID = [
    {"role": "system", "content": "the rules"},
    {"role": "user", "content": "I feel sick and cannot fly."},
    LOOKS_UP,
    {"role": "tool", "tool_call_id": "c1", "content": "{}"},
]


@pytest.fixture
def recorded(tmp_path):
    """A folder shaped like tau-bench's airline."""
    folder = tmp_path / "airline"
    folder.mkdir()
    other = {**USER, "name": {"first_name": "Cy", "last_name": "Oh"}, "saved_passengers": []}
    run_ = {"info": {"task": {"user_id": "ann_ek_1"}}, "reward": 1.0, "traj": SAID}
    (folder / "users.json").write_text(json.dumps({"ann_ek_1": USER, "cy_oh_2": other}))
    (folder / "reservations.json").write_text(json.dumps({"R1": FLIGHT, "R2": TWO}))
    (folder / "trajectories.json").write_text(json.dumps([run_]))
    return folder


class TestAirline:
    def test_names_everybody_that_a_record_is_about(self, recorded):
        found = {item.place: set(item.subjects) for item in airline.load(recorded).everything()}
        both = {"customer:ann_ek_1", "passenger:bo.ek.1982-02-02"}
        assert found["support.customers", "ann_ek_1"] == both
        assert found["support.reservations", "R1"] == {"customer:ann_ek_1"}
        assert found["support.reservations", "R2"] == both
        assert found["support.conversations", "conversation-1/1"] == {"customer:ann_ek_1"}
        assert found["support.conversations", "conversation-1/3"] == both

    def test_a_decision_rests_on_what_was_looked_up_and_said(self, recorded):
        (one,) = airline.load(recorded).conversations
        assert one.outcome == "solved"
        assert set(one.looked_up) == {
            ("support.knowledge", "rules-1"),
            ("support.customers", "ann_ek_1"),
            ("support.reservations", "R2"),
        }
        assert len(one.messages) == 3
        assert "health" in one.messages[0].categories

    def test_the_story_holds_with_it(self, recorded, tmp_path):
        found = run("demo", "--data", recorded, "--keep", tmp_path / "kept", "--json")
        assert found.exit_code == 0, found.output
        assert facts(json.loads(found.stdout), "Write")["by_scope"]["support.reservations"] == 2

    def test_another_shape_is_a_no(self, recorded, tmp_path):
        (recorded / "users.json").write_text("[]")
        found = run("demo", "--data", recorded, "--keep", tmp_path / "kept")
        assert found.exit_code == 1
        assert "not shaped like" in found.stderr
        assert not (tmp_path / "kept").exists()

    def test_no_folder_is_wrong_use(self, tmp_path):
        assert run("demo", "--data", tmp_path / "nothing").exit_code == 2
