"""The command line reaches nobody else's either: every command that takes a key, found in the program itself.

A command's words that name something are filled with what is `alpha`'s and with what is nobody's, under a
key of `bravo`; both times it says the same and ends with the same code. It runs on the embedded cell, in
this process.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from litestar.testing import TestClient
from sqlalchemy import NullPool, create_engine, select
from typer.main import get_command
from typer.testing import CliRunner

from support.twins import ISSUER, UNLIMITED, Family, Twin, nobody
from tenure.bootstrap import Tenure
from tenure.cli.entry import app
from tenure.cli.options import PLACES
from tenure.http.app import create_app
from tenure.settings import Settings
from tenure.store import tables

WORDS = {
    "certificate target": "certificate",
    "credential_id": "credential",
    "decision": "sealed decision",
    "elevation": "elevation",
    "notice resend notice": "dead notice",
    "notice list request": "rights request",
    "request": "request",
    "request identify request": "request to identify",
    "request scope request": "request to scope",
    "request approve request": "request to approve",
    "request refuse request": "request to refuse",
    "request withdraw request": "request to withdraw",
    "request resume request": "request to resume",
    "request pause request": "request to pause",
    "request extend request": "request to extend",
    "request conclude request": "request to conclude",
    "request lift request": "request to lift",
    "request link request": "request to link",
    "breakglass refuse elevation": "elevation to refuse",
    "breakglass end elevation": "active elevation",
    "breakglass review elevation": "ended elevation",
    "breakglass request role": "emergency role",
    "describe name": "manifest",
    "event scope": "scope",
    "event subject": "reference",
    "retrieve scope": "scope",
    "retrieve subject": "reference",
    "retrieve prefix": "key",
    "retrieve key": "key",
    "entry": "entry",
    "issuer": "issuer",
    "replaces": "issuer",
    "policy explain scope": "scope",
    "principal change role": "manifest",
    "principal credential add role": "manifest",
    "principal credential add scope": "scope",
    "under": "policy",
    "hold": "hold",
    "hold place target": "subject",
    "openings": "sealed decision",
    "principal": "principal",
    "ref": "reference",
    "reference": "reference",
    "shred_id": "shred",
    "subject_id": "subject",
    "tenant": "tenant",
    "get name": "manifest",
    "principal create name": "principal name",
}
"""A parameter's name, with its command's where that matters → what it names (`twins.Twin.own`)."""
SAMPLES = {
    "tenant create name": "delta",
    "by": "subject",
    "jobs run name": "rederive",
    "event name": "customer.churned",
    "event purpose": "customer-support",
    "retrieve purpose": "customer-support",
    "get kind": "Role",
    "describe kind": "Role",
    "breakglass review outcome": "justified",
    "request_type": "access",
    "method": "login",
    "request refuse ground": "12.5-excessive",
    "request pause reason": "identity",
    "request extend reason": "complexity",
    "request conclude outcome": "upheld",
    "request note text": "a note",
    "generation": "2",
    "issuer add file": "<issuer>",
    "minutes": "5",
    "reason": "a case",
    "principal create kind": "service",
    "file": "<manifests>",
    "retention preview file": "<retention>",
    "cost file": "<retention>",
    "values": "<values>",
    "ground": "a case",
    "role": "support-agent",
    "out": "<new>.zip",
    "import jsonl file": "<lines>",
    "import jsonl mapping": "<mapping of lines>",
    "source": "<theirs>",
    "mapping": "<mapping>",
}
"""Words that must be given and name nothing of anybody's. In `<>`: a file of the test's."""
LEFT_OUT = {
    *("action", "api_key", "as_json", "first", "end", "kind", "outcome", "purpose", "rule", "since"),
    *("until", "url", "vkey", "wait", "scan", "yes", "dry_run", "accept", *PLACES),
    *("html", "pdf"),
    *("prune", "what_if", "form", "limit", "cursor", "quick", "disabled", "expires_at", "at", "category"),
    *("note", "state", "proof", "requests", "bytes_", "records", "burst_s", "concurrent", "reset"),
    *("stored_versions", "stored_bytes", "policy explain role"),
    *("resume", "journal", "report", "at_once", "received_at", "details", "for_purpose", "corrections"),
    "overdue",
    # Settings of the process.
    *("witnesses", "tsa_url", "tsa_certs", "tsa_interval_s", "host", "port", "max_body_bytes"),
    *("now", "days", "within", "prices", "storage_interval_s"),
    *(
        "shred_interval_s",
        "rederive_interval_s",
        "notice_interval_s",
        "inspect_interval_s",
        "lanes",
        "cell_jobs",
    ),
    "log_level",
}
QUESTION = ("--category", "contact", "--purpose", "customer-support", "--action", "read")
TOGETHER = {
    "evidence openings": ("--purpose", "customer-support"),
    "policy explain principal": ("--scope", "support.conversations", *QUESTION),
    "policy explain scope": ("--role", "support-agent", *QUESTION),
}
"""What a word needs beside it."""
CALLERS = {
    "principal": "admin",
    "issuer": "admin",
    "notice": "dpo",
    "request": "dpo",
    "breakglass": "dpo",
    "breakglass request": "lead",
    "describe": "admin",
    "event": "agent",
    "import": "agent",
    "retrieve": "agent",
    "diff": "admin",
    "history": "admin",
    "rollback": "admin",
    "apply": "admin",
    "get": "admin",
    "storage": "admin",
    "cost": "admin",
    "retention": "admin",
    "shred": "dpo",
    "hold": "dpo",
    "ledger": "admin",
}
"""Of a command's first word, or of all of it; auditors for the rest."""
THE_OPERATORS = {
    *("tenant create", "tenant limits", "tenant storage", "tenant refused"),
    *("rootstore status", "rootstore rotate", "rootstore migrate", "jobs run"),
    *("lifecycle plan", "lifecycle apply", "lifecycle drift"),
}
OF_ONE_KIND = {
    "shred person": ("ref", "subject_id"),
    "shred impact": ("ref", "subject_id"),
    "policy explain": ("entry", "decision", "principal", "scope"),
}
"""Words of which a command takes one."""
ALWAYS = {"principal change": ("role",), "policy explain": ("entry",)}
"""Options without which there is nothing to do."""


class Word(NamedTuple):
    """A place for a name on a command line."""

    parameter: Any
    what: str


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    inside_it = getattr(command, "commands", None)
    if inside_it is not None:
        for name, inside in inside_it.items():
            yield from leaves(inside, (*path, name))
    else:
        yield " ".join(path), command


def takes_a_key(command: Any) -> bool:
    return any(one.name == "api_key" for one in command.params)


COMMANDS = {name: one for name, one in leaves(get_command(app)) if takes_a_key(one)}


def is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def words(name: str) -> list[Word]:
    """The words of a command that name something. AssertionError for one that nothing is said of."""
    found = []
    for one in COMMANDS[name].params:
        if what := WORDS.get(f"{name} {one.name}") or (
            f"{name} {one.name}" not in SAMPLES and WORDS.get(one.name or "")
        ):
            found.append(Word(one, what))
        else:
            known = {one.name, f"{name} {one.name}"} & {*SAMPLES, *LEFT_OUT}
            assert known, (
                f"say in this file what {one.name!r} of 'tenure {name}' names: WORDS, SAMPLES or LEFT_OUT"
            )
    return found


def line(name: str, given: dict[str, str], files: dict[str, str]) -> list[str]:
    """A command line with these words (by parameter) and whatever else it needs."""
    arguments, options = [], []
    for one in COMMANDS[name].params:
        value = given.get(one.name or "")
        if one.name == "yes":
            options.append("--yes")
        if value is None and (one.required or one.name == "out"):
            value = SAMPLES.get(f"{name} {one.name}") or SAMPLES.get(one.name or "")
            value = files.get(str(value), value)
        if value is None:
            continue
        if is_argument(one):
            arguments.append(str(value))
        else:
            options += [max(one.opts, key=len), str(value), *TOGETHER.get(f"{name} {one.name}", ())]
    return [*name.split(), *options, "--", *arguments] if arguments else [*name.split(), *options]


class Shell:
    """A closed embedded cell with three tenants, and commands run on it."""

    def __init__(self, folder: Path, family: Family) -> None:
        self.folder, self.twins, self.operator = folder, family.twins, family.operator
        self._count = 0
        (folder / "role.yaml").write_text(
            "apiVersion: tenure/v1\nkind: Role\nmetadata: {name: another}\nspec: {description: a role}\n"
        )
        audience = f"https://{self.twins['carol'].id}.example"
        issuer = {"name": "another", "issuer": ISSUER, "audience": audience}
        (folder / "issuer.json").write_text(json.dumps(issuer))
        spec = "{scopes: [support.**], categories: '*', deleteAfter: 1d}"
        (folder / "retention.yaml").write_text(
            f"apiVersion: tenure/v1\nkind: Retention\nmetadata: {{name: another}}\nspec: {spec}\n"
        )
        labels = "{scope: support.conversations, purpose: customer-support, categories: [contact]"
        (folder / "mapping.yaml").write_text(f"{labels}, subjects: ['customer:1']}}")
        (folder / "lines.yaml").write_text(f"{labels}, subjects: ['customer:1'], key: 'line-{{line}}'}}")
        (folder / "lines.jsonl").write_text('{"said": "hello"}')
        with closing(sqlite3.connect(folder / "theirs.sqlite")) as theirs:
            theirs.execute("CREATE TABLE store (prefix, key, value, expires_at)")
            named = "thread_id, checkpoint_ns, checkpoint_id"
            theirs.execute(f"CREATE TABLE checkpoints ({named}, parent_checkpoint_id)")
            theirs.execute(f"CREATE TABLE writes ({named}, task_id, idx, channel)")
        (folder / "values").write_text("Ada Lovelace\n")
        # One for all looks, which knows its statements; nothing is held open between them.
        self._engine = create_engine(f"sqlite:///{folder / 'data' / 'tenure.db'}", poolclass=NullPool)

    def run(self, key: str, name: str, given: dict[str, str]) -> tuple[int, str]:
        """(exit code, what it said): JSON and messages."""
        self._count += 1
        files = {
            "<issuer>": str(self.folder / "issuer.json"),
            "<manifests>": str(self.folder / "role.yaml"),
            "<retention>": str(self.folder / "retention.yaml"),
            "<values>": str(self.folder / "values"),
            "<mapping>": str(self.folder / "mapping.yaml"),
            "<mapping of lines>": str(self.folder / "lines.yaml"),
            "<lines>": str(self.folder / "lines.jsonl"),
            "<theirs>": str(self.folder / "theirs.sqlite"),
            "<new>.zip": str(self.folder / f"{self._count}.zip"),
        }
        env = {
            "TENURE_API_KEY": key,
            "TENURE_DATA_DIR": str(self.folder / "data"),
            "TENURE_ROOT_DIR": str(self.folder / "root"),
            "TENURE_SHRED_INTERVAL_S": "0",
        }
        arguments = line(name, given, files)
        arguments.insert(len(name.split()), "--json")
        found = CliRunner().invoke(app, arguments, env=env)
        assert found.exception is None or isinstance(found.exception, SystemExit), (
            arguments,
            found.exception,
        )
        assert found.exit_code != 2, (arguments, found.output)
        return found.exit_code, found.output

    def rows_of(self, tenant: Twin) -> dict[str, list[Any]]:
        with self._engine.connect() as connection:
            return {
                table.name: sorted(
                    map(tuple, connection.execute(select(table).where(table.c.tenant_id == tenant.id))),
                    key=repr,
                )
                for table in tables.metadata.sorted_tables
            }


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, laid: Callable[[Path], str]) -> Shell:
    folder = tmp_path_factory.mktemp("shell")
    settings = Settings(
        data_dir=folder / "data",
        root_dir=folder / "root",
        shred_interval_s=80_000,
        inspect_interval_s=0,
        tier_interval_s=0,
        **UNLIMITED,
    )
    operator = laid(folder)
    tenure = Tenure(settings)
    with TestClient(create_app(tenure), raise_server_exceptions=False) as client:
        family = Family(client, tenure, operator)
        for name in ("alpha", "bravo", "carol"):
            family.born(name)
    made = Shell(folder, family)
    made.run(made.twins["bravo"].keys["admin"], "get", {})  # takes in what the last process left
    return made


def caller(name: str) -> str:
    return CALLERS.get(name) or CALLERS.get(name.split(maxsplit=1)[0], "auditor")


def own(name: str, who: Twin) -> dict[str, str]:
    """What must be there, of one's own: all arguments, and of words of one kind the first."""
    only = OF_ONE_KIND.get(name, ())
    return {
        str(word.parameter.name): who.own[word.what]
        for word in words(name)
        if word.parameter.name in ALWAYS.get(name, ())
        or ((word.parameter.required or is_argument(word.parameter)) and word.parameter.name not in only[1:])
    }


def told(found: tuple[int, str], given: dict[str, str]) -> tuple[int, str]:
    text = found[1]
    if '"index_sha256"' in text:
        # A pack is about the caller's whole log, which the pack before made longer: what, not how much.
        answer = json.loads(text)
        text = json.dumps({"ok": answer["ok"], "failures": answer["failures"], "members": sorted(answer)})
    for name, value in given.items():
        text = text.replace(value, f"<{name}>")
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<id>", text)
    text = re.sub(r"\b[0-9a-f]{16}(-\d+)?\b", "<entry>", text)
    text = re.sub(r"tnr_[\w-]+=*|\b[0-9a-f]{64}\b|\d{4}-\d\d-\d\dT[\d:.]+Z", "<made>", text)
    return found[0], re.sub(r"\d+", "<n>", text)  # every run of a command makes its caller's log longer


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in THE_OPERATORS and words(name)])
def test_what_is_anothers_is_answered_as_what_is_nobodys(shell: Shell, name: str) -> None:
    alpha, bravo = shell.twins["alpha"], shell.twins["bravo"]
    missing = nobody(alpha, "nobod")
    before = shell.rows_of(alpha)
    if name == "population":  # what earlier commands left on record is published with the first run
        shell.run(bravo.keys[caller(name)], name, own(name, bravo))
    for word in words(name):
        parameter = str(word.parameter.name)
        home = {key: value for key, value in own(name, bravo).items() if key not in OF_ONE_KIND.get(name, ())}
        answers = []
        for whose in (alpha, missing):
            given = home | {parameter: whose.own[word.what]}
            found = shell.run(bravo.keys[caller(name)], name, given)
            answers.append(told(found, given))
            for value in given.values():
                found = (found[0], found[1].replace(value, ""))
            assert not [one for one in alpha.secrets() if one in found[1]], (name, parameter)
        assert answers[0] == answers[1], (name, parameter)
    assert shell.rows_of(alpha) == before


NOT_ZERO = {
    "rootstore migrate": 1,  # there is no second root store
    "shred scan": 1,  # the erasure has its certificate already, and the search is not attached to it
}
LAST = ("principal credential revoke", "hold release", "shred scan", "shred person")


@pytest.mark.parametrize("name", sorted(COMMANDS, key=lambda name: name in LAST and LAST.index(name) + 1))
def test_at_home_the_command_does_what_it_is_for(shell: Shell, name: str) -> None:
    carol = shell.twins["carol"]
    key = shell.operator if name in THE_OPERATORS else carol.keys[caller(name)]
    fresh = {"principal create": {"name": "new-of-carol"}, "principal change": {"role": "auditor"}}
    code, text = shell.run(key, name, own(name, carol) | fresh.get(name, {}))
    assert code == NOT_ZERO.get(name, 0), text
