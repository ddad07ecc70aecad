"""Lines of JSON become records: labelled as the mapping says, each once, whatever happens in between."""

import json
import os
import re
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from imports.conftest import Site
from support import nursery
from support.cell import NOTES, SCOPE, Cell
from tenure.cli.entry import app
from tenure.errors import Invalid, NotFound
from tenure.imports.mapping import LinesMapping, ThreadsMapping, read_mapping
from tenure.imports.run import HOPELESS

MAPPING = """
scope: support.conversations
purpose: customer-support
categories: [contact]
subjects: {field: /from/id, template: "customer:{value}"}
key: "{/talk}/{/turn}"
content: /said
metadata: {channel: /via}
skip:
  - {field: /role, any_of: [system, tool]}
"""
TALK = [
    {"talk": "t1", "turn": 1, "from": {"id": 42}, "said": {"text": "Où est mon vol ?"}, "via": "mail"},
    {"talk": "t1", "turn": 2, "from": {"id": "43"}, "said": ["a", 1.5, None, True]},
    {"talk": "t1", "turn": 3, "from": {"id": 42}, "said": "x", "role": "system"},
    {"talk": "t1", "turn": 4, "said": "from nobody"},
]


def test_lines_become_records_with_the_labels_that_the_mapping_says(site: Site) -> None:
    mapping, kept = site.file("m.yaml", MAPPING), site.folder / "report.json"
    told = site.run("jsonl", site.lines(*TALK), "--mapping", mapping, "--report", kept, code=1)
    assert told["counts"] == {"written": 2, "already_there": 0, "skipped": 1, "refused": 1}
    assert told["skipped"] == {"skip[0]": 1}
    (refusal,) = told["refusals"]
    assert (refusal["place"], refusal["field"], refusal["rule"]) == (
        "line 4",
        "subjects[0]",
        "it names somebody",
    )
    assert "on_missing_subject" in refusal["remedy"]
    assert json.loads(kept.read_text()) == told
    with site.client() as client:
        first, second = client.get(SCOPE, "t1/1"), client.get(SCOPE, "t1/2")
        assert first.content == TALK[0]["said"]
        assert (first.subjects, first.categories) == (("customer:42",), ("contact",))
        assert dict(first.metadata) == {"channel": "mail"}
        assert (second.content, second.subjects, dict(second.metadata)) == (
            TALK[1]["said"],
            ("customer:43",),
            {},
        )
        with pytest.raises(NotFound):
            client.get(SCOPE, "t1/3")


def test_what_was_refused_is_taken_once_the_mapping_is_right_and_nothing_twice(site: Site) -> None:
    lines, mapping = site.lines(*TALK), site.file("m.yaml", MAPPING)
    site.run("jsonl", lines, "--mapping", mapping, code=1)
    again = site.run("jsonl", lines, "--mapping", mapping, code=1)
    assert (again["error"]["kind"], again["error"]["field"]) == ("conflict", "--journal")
    site.file(
        "m.yaml",
        MAPPING.replace('customer:{value}"}', 'customer:{value}"}\non_missing_subject: nobody').replace(
            "scope: support.conversations", "scope: {field: /from, values: {}}"
        ),
    )
    told = site.run("jsonl", lines, "--mapping", mapping, "--resume", code=1)
    assert told["counts"] == {"written": 0, "already_there": 2, "skipped": 1, "refused": 1}
    site.file("m.yaml", MAPPING.replace("support.conversations", NOTES) + "on_missing_subject: nobody\n")
    told = site.run("jsonl", lines, "--mapping", mapping, "--resume")
    assert told["counts"] == {"written": 1, "already_there": 2, "skipped": 1, "refused": 0}
    with site.client() as client:
        assert client.get(NOTES, "t1/4").subjects == ()
        assert len(client.history(SCOPE, "t1/1").items) == 1


def test_without_a_journal_what_is_there_is_compared_and_never_written_again(site: Site) -> None:
    lines, mapping = site.lines(*TALK[:2]), site.file("m.yaml", MAPPING)
    site.run("jsonl", lines, "--mapping", mapping)
    (site.folder / "m.jsonl.journal").unlink()
    told = site.run("jsonl", lines, "--mapping", mapping)
    assert told["counts"]["already_there"] == 2
    (site.folder / "m.jsonl.journal").unlink()
    other = {**TALK[0], "said": "something else"}
    told = site.run("jsonl", site.lines(other, TALK[1]), "--mapping", mapping, code=1)
    assert [(one["place"], one["kind"], one["field"]) for one in told["refusals"]] == [
        ("line 1", "conflict", "key")
    ]
    with site.client() as client:
        assert client.get(SCOPE, "t1/1").content == TALK[0]["said"]
        assert len(client.history(SCOPE, "t1/1").items) == 1


def test_a_dry_run_tells_the_same_and_leaves_no_trace(site: Site) -> None:
    lines, mapping = site.lines(*TALK), site.file("m.yaml", MAPPING)
    before = {one: one.stat().st_mtime_ns for one in site.cell.settings.data_dir.rglob("*")}
    dry = site.run("jsonl", lines, "--mapping", mapping, "--dry-run", code=1, who=None)
    assert before == {one: one.stat().st_mtime_ns for one in site.cell.settings.data_dir.rglob("*")}
    assert sorted(one.name for one in site.folder.iterdir()) == ["m.yaml", "talks.jsonl"]
    real = site.run("jsonl", lines, "--mapping", mapping, code=1)
    assert dry == {**real, "dry_run": True}


def test_a_dry_run_sees_which_lines_have_one_key(site: Site) -> None:
    """As the run itself: what is the same again is there already, what is another is refused."""
    first, other = TALK[0], {**TALK[1], "turn": 1}
    lines = site.lines(first, other, {**first, "ignored": "by the mapping"}, {**first, "turn": 2}, other)
    mapping = site.file("m.yaml", MAPPING)
    dry = site.run("jsonl", lines, "--mapping", mapping, "--dry-run", code=1)
    real = site.run("jsonl", lines, "--mapping", mapping, code=1)
    assert dry == {**real, "dry_run": True}
    assert dry["counts"] == {"written": 2, "already_there": 1, "skipped": 0, "refused": 2}
    assert [one["place"] for one in dry["refusals"]] == ["line 2", "line 5"]
    again = site.run("jsonl", lines, "--mapping", mapping, "--dry-run", "--resume", code=1)
    assert again["counts"] == {"written": 0, "already_there": 3, "skipped": 0, "refused": 2}


def test_a_line_is_refused_by_itself_with_place_and_reason(site: Site) -> None:
    good = json.dumps(TALK[0]).encode()
    lines = site.file(
        "talks.jsonl",
        b"\n".join(
            (
                b"\xef\xbb\xbf" + good,
                b"",
                b'{"talk": "t2"',
                b'["a list"]',
                b'{"talk": "\xff"}',
                b'{"talk": 1e999}',
                b'{"talk": "a", "talk": "b"}',
                json.dumps({**TALK[0], "turn": {"no": "text"}}).encode(),
                json.dumps({**TALK[0], "turn": 7, "from": {"id": "no spaces please"}}).encode(),
                json.dumps({**TALK[0], "turn": 8, "said": 2**60}).encode(),
                json.dumps({"talk": "t", "turn": 9, "from": {"id": 1}}).encode(),
                json.dumps({**TALK[0], "said": "the key of line 1"}).encode(),
            )
        ),
    )
    mapping = site.file("m.yaml", MAPPING)
    told = site.run("jsonl", lines, "--mapping", mapping, code=1)
    assert told["counts"]["written"] == 1
    assert [(one["place"], one["kind"], one["field"]) for one in told["refusals"]] == [
        ("line 3", "malformed", "line"),
        ("line 4", "malformed", "line"),
        ("line 5", "malformed", "line"),
        ("line 6", "malformed", "line"),
        ("line 7", "malformed", "line"),
        ("line 8", "invalid", "key"),
        ("line 9", "invalid", "subjects[0]"),
        ("line 10", "invalid", "content"),
        ("line 11", "invalid", "content"),
        ("line 12", "conflict", "key"),
    ]
    assert all(one["rule"] and one["remedy"] and one["why"] for one in told["refusals"])


def test_scopes_categories_and_people_may_differ_from_line_to_line(site: Site) -> None:
    site.file("people.csv", "case,team,subject\nC1,x,customer:1\nC1,x,customer:2\nC2,y,customer:3\n")
    mapping = site.file(
        "m.yaml",
        """
scope: {field: /kind, values: {talk: support.conversations, note: support.notes}}
purpose: customer-support
categories: {field: /tags, values: {mail: [contact], doctor: [contact, health]}}
subjects:
  - {field: /case, table: people.csv}
  - {constant: ["customer:9"]}
key: "{/kind}-{line}"
""",
    )
    lines = site.lines(
        {"kind": "talk", "tags": ["mail"], "case": "C1"},
        {"kind": "note", "tags": ["mail", "doctor"], "case": "C2"},
        {"kind": "note", "tags": ["unheard-of"], "case": "C2"},
        {"kind": "rumour", "tags": "mail", "case": "C2"},
        {"kind": "note", "tags": "mail", "case": "C3"},
    )
    told = site.run("jsonl", lines, "--mapping", mapping, code=1)
    assert [one["field"] for one in told["refusals"]] == ["categories", "scope", "subjects[0]"]
    with site.client() as client:
        talk, note = client.get(SCOPE, "talk-1"), client.get(NOTES, "note-2")
        assert set(talk.subjects) == {"customer:1", "customer:2", "customer:9"}
        assert (set(note.categories), set(note.subjects)) == (
            {"contact", "health"},
            {"customer:3", "customer:9"},
        )
        assert note.content == {"kind": "note", "tags": ["mail", "doctor"], "case": "C2"}


def test_a_cell_on_postgresql_is_written_to_and_a_journal_knows_where(scaled: Cell, tmp_path: Path) -> None:
    (folder := tmp_path / "work").mkdir()
    site = Site(scaled, folder)
    site.env |= {"TENURE_DATABASE_URL": scaled.settings.database_url}
    lines, mapping = site.lines(*TALK[:2]), site.file("m.yaml", MAPPING)
    assert site.run("jsonl", lines, "--mapping", mapping)["counts"]["written"] == 2
    assert site.run("jsonl", lines, "--mapping", mapping, "--resume")["counts"]["already_there"] == 2
    elsewhere = site.run(
        "jsonl", lines, "--mapping", mapping, "--resume", "--url", "http://127.0.0.1:1", code=1
    )
    assert elsewhere["error"]["rule"] == "one journal, one import"


def test_what_policy_refuses_is_told_and_a_missing_grant_stops_it(site: Site) -> None:
    lines = site.lines(*({**TALK[0], "turn": n} for n in range(HOPELESS + 30)))
    told = site.run("jsonl", lines, "--mapping", site.file("m.yaml", MAPPING), code=1, who="marketer")
    assert told["counts"] == {"written": 0, "already_there": 0, "skipped": 0, "refused": HOPELESS}
    assert (told["stopped"]["kind"], told["stopped"]["rule"]) == ("denied", "policy")
    assert told["stopped"]["why"].startswith("Nothing was taken")
    told = site.run("jsonl", lines, "--mapping", site.folder / "m.yaml", "--resume")
    assert told["counts"]["written"] == HOPELESS + 30


def test_neither_journal_nor_report_says_anything_of_anybody(site: Site) -> None:
    told = site.folder / "report.json"
    site.run("jsonl", site.lines(*TALK), "--mapping", site.file("m.yaml", MAPPING), "--report", told, code=1)
    journal = site.folder / "m.jsonl.journal"
    assert journal.stat().st_mode & 0o077 == 0
    for raw in (journal.read_bytes(), told.read_bytes()):
        for secret in (b"t1", b"customer:4", b"mon vol", b"nobody\x00", b"talks.jsonl"):
            assert secret not in raw
    with sqlite3.connect(journal) as database:
        ((count,),) = database.execute("SELECT count(*) FROM done").fetchall()
    assert count == 2


def test_a_journal_is_of_one_import(site: Site) -> None:
    mapping, journal = site.file("m.yaml", MAPPING), site.folder / "j"
    site.run("jsonl", site.lines(TALK[0]), "--mapping", mapping, "--journal", journal)
    other = site.file("others.jsonl", json.dumps(TALK[1]))
    told = site.run("jsonl", other, "--mapping", mapping, "--journal", journal, "--resume", code=1)
    assert told["error"]["rule"] == "one journal, one import"
    journal.write_bytes(b"nothing of the kind")
    told = site.run("jsonl", other, "--mapping", mapping, "--journal", journal, "--resume", code=2)
    assert (told["error"]["kind"], told["error"]["field"]) == ("invalid", "--journal")


KILLED = """
import os, signal, threading
from tenure.imports.journal import Journal
left, before = int(os.environ["AFTER"]), os.environ["BEFORE"] == "1"
add, lock = Journal.add, threading.Lock()
def dying(self, *parts):
    global left
    with lock:
        left -= 1
        last = left == 0
    if last and before:
        os.kill(os.getpid(), signal.SIGKILL)
    add(self, *parts)
    if last:
        os.kill(os.getpid(), signal.SIGKILL)
Journal.add = dying
from tenure.cli.entry import main
main()
"""


def test_killed_in_the_middle_nothing_is_lost_or_doubled(site: Site) -> None:
    documents = [{**TALK[0], "turn": n, "said": n} for n in range(30)]
    arguments = [
        "import",
        "jsonl",
        str(site.lines(*documents)),
        "--mapping",
        str(site.file("m.yaml", MAPPING)),
    ]
    for before in ("1", "0"):  # acknowledged and not journaled, and journaled
        env = {**os.environ, **site.env, "AFTER": "3", "BEFORE": before}
        child = nursery.run(KILLED, *arguments, "--resume", env=env)
        assert child.returncode == -signal.SIGKILL, child.stdout
    told = site.run(*arguments[1:], "--resume")
    assert told["counts"]["written"] + told["counts"]["already_there"] == 30
    with site.client() as client:
        for n in range(30):
            (only,) = client.history(SCOPE, f"t1/{n}").items
            assert (only.version, client.get(SCOPE, f"t1/{n}").content) == (1, n)


@pytest.mark.parametrize(
    ("change", "field", "line"),
    [
        (("purpose: customer-support\n", ""), "mapping.purpose", None),
        (("scope: support.conversations", "scope: Support!"), "mapping.scope", 2),
        (("categories: [contact]", "categories: [Contact!]"), "mapping.categories[0]", 4),
        (("/from/id", "from"), "mapping.subjects[0].field", 5),
        (("{value}", "{whom}"), "mapping.subjects[0].template", 5),
        (("any_of: [system, tool]", "any_of: [system], equals: a"), "mapping.skip[0]", 10),
        (("key:", "keys:"), "mapping.key", None),
        (("{/talk}", "{talk}"), "mapping.key", 6),
        (("template:", "table: none.csv, template:"), "mapping.subjects[0].table", None),
        (("scope: support.conversations", "scope: [["), "--mapping", None),
    ],
)  # fmt: skip
def test_a_wrong_mapping_is_told_by_field_and_line_before_anything_is_done(
    site: Site, change: tuple[str, str], field: str, line: int | None
) -> None:
    mapping = site.file("m.yaml", MAPPING.replace(*change))
    told: dict[str, Any] = site.run("jsonl", site.lines(*TALK), "--mapping", mapping, code=2)["error"]
    assert told["field"] == field
    assert line is None or told["line"] == line
    assert told["rule"]
    assert told["remedy"]
    assert not (site.folder / "m.jsonl.journal").exists()


def test_the_mapping_of_the_documentation_is_one(site: Site) -> None:
    text = (Path(__file__).parents[2] / "docs" / "import.md").read_text()
    common, lines, threads = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0].partition("# jsonl only:")
    lines, _, threads = threads.partition("# checkpoints only:")
    read_mapping(site.file("l.yaml", common + lines), LinesMapping)
    read_mapping(site.file("t.yaml", common + threads), ThreadsMapping)
    with pytest.raises(Invalid, match="no such field"):
        read_mapping(site.file("t.yaml", common + lines), ThreadsMapping)


def test_people_read_a_table(site: Site) -> None:
    arguments = ["import", "jsonl", str(site.lines(*TALK)), "--mapping", str(site.file("m.yaml", MAPPING))]
    found = CliRunner().invoke(app, arguments, env=site.env)
    assert found.exit_code == 1
    for words in ("written", "skipped by skip[0]: 1", "line 4", "subjects[0]"):
        assert words in found.output
