"""What `tenure policy test` does: build the engine of a folder and try its cases.

No cell and no network: the same engine as the service's, over the manifests of the folder. Needs the
server's libraries.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenure import ids, resources
from tenure.cli.folder import case_files, manifest_files
from tenure.errors import Invalid
from tenure.model.configuration import Configuration
from tenure.model.days_off import check_holidays
from tenure.model.documents import Document, read_documents
from tenure.model.manifests import Manifest, parse_manifests
from tenure.policy.cases import Case, Outcome, check_declared, read_cases, run_case
from tenure.policy.engine import Engine

_TENANT = "offline"
_LINE = re.compile(r"\bline (\d+)", re.IGNORECASE)
_PLACE = re.compile(r"manifests\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a file that cannot be tried. `line` counts from 1."""

    file: str
    line: int
    detail: str


@dataclass(slots=True)
class Trial:
    """All that was tried, in the order of files and lines, and what could not be."""

    cases: list[tuple[str, Case, Outcome]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """How many cases came out differently."""
        return sum(not outcome.passed for _, _, outcome in self.cases)

    def as_json(self) -> dict[str, Any]:
        """For programs: `{"ok","tried","failed","cases","problems"}`."""
        return {
            "ok": not self.failed and not self.problems,
            "tried": len(self.cases),
            "failed": self.failed,
            "cases": [
                {
                    "file": file,
                    "line": case.line,
                    "name": case.name,
                    "passed": outcome.passed,
                    "expect": case.expect,
                    "got": outcome.got,
                    "reason": outcome.reason,
                    "rules": list(outcome.rules),
                    "wrong": outcome.wrong,
                    "why": list(outcome.why),
                }
                for file, case, outcome in self.cases
            ],
            "problems": [{"file": one.file, "line": one.line, "detail": one.detail} for one in self.problems],
        }


def try_folder(folder: Path) -> Trial:
    """Try the cases of a folder. Problems of its manifests end it; those of one file of cases are its own."""
    trial = Trial()
    engine = _engine(folder, trial)
    if engine is None:
        return trial
    now = ids.moment(ids.now())
    files = case_files(folder)
    if not files:
        trial.problems.append(Problem(folder.name, 1, "The folder has no file of cases: NAME.tests.yaml."))
    for file in files:
        try:
            for case in (case for document in _documents(file) for case in read_cases(document)):
                check_declared(engine, case)
                trial.cases.append((file.name, case, run_case(engine, case, now)))
        except Invalid as wrong:
            trial.problems.append(_problem(file, wrong))
    return trial


def _engine(folder: Path, trial: Trial) -> Engine | None:
    """The engine of the folder's manifests, or None with the problems noted."""
    given: list[tuple[Path, Manifest]] = []
    for file in manifest_files(folder):
        try:
            found = parse_manifests(_read(file))
            check_holidays(found)
            given += [(file, one) for one in found]
        except Invalid as wrong:
            trial.problems.append(_problem(file, wrong))
    if trial.problems:
        return None
    try:
        configuration = Configuration.empty().with_manifests(one for _, one in given)
    except Invalid as wrong:
        place = _PLACE.match(wrong.field or "")
        trial.problems.append(_problem(given[int(place[1])][0] if place else folder, wrong))
        return None
    return Engine(
        configuration,
        tenant=_TENANT,
        model_text=resources.policy_model(),
        builtin_rules_text=resources.builtin_rules(),
    )


def _documents(file: Path) -> list[Document]:
    found = read_documents(_read(file))
    if not found:
        raise Invalid("The file is empty.", field="file", rule="cases")
    return found


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as failure:
        raise Invalid("The file cannot be read.", field="file", rule="readable") from failure


def _problem(file: Path, wrong: Invalid) -> Problem:
    told = _LINE.search(wrong.detail)
    return Problem(file.name, wrong.line or (int(told[1]) if told else 1), wrong.detail)
