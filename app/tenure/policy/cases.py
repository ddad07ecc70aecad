"""Test cases for policy, as their files say them: what must be allowed and what must be denied.

    at: 2026-07-01T00:00:00Z              # of every case in the file that names none; now if left out
    tests:
      - name: an agent answers a customer  # one question
        roles: [support-agent]
        scope: support.conversations
        categories: [contact, travel]
        purpose: customer-support
        action: read
        expect: allow                      # or deny
        rules: [grant/support-agent-works] # optional: these grants or rows decide; []: denied for want of one
      - name: who reads what               # a table: a question in each cell
        scope: support.conversations
        purpose: customer-support
        action: read
        matrix: |
          | role          | contact | travel + health |
          | support-agent | allow   | allow           |
          | support-lead  | deny    | deny            |

What a case names must be declared: a misspelt role is an error, not a deny. Pure; errors carry the line.
"""

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from tenure.errors import Invalid
from tenure.ids import moment, parse_rfc3339
from tenure.model import names
from tenure.model.documents import Document, Path
from tenure.policy.engine import Engine
from tenure.policy.explain import explain
from tenure.policy.verdicts import Request
from tenure.policy.wording import words

ALLOW, DENY = "allow", "deny"
MAX_CASES = 10_000
_FILE = ("at", "tests")
_COMMON = ("name", "scope", "purpose", "action", "at", "matrix")
_ONE = ("roles", "categories", "expect", "rules")
_RULE = re.compile(r"(grant|builtin)/([a-z0-9-]+)(#[1-9][0-9]{0,5})?")
_NAME_MAX = 200
_LEAST_ROWS, _LEAST_CELLS = 2, 2


@dataclass(frozen=True, slots=True)
class Case:
    """One question with its expected answer. `at` is None for now; `rules` None where any will do."""

    name: str
    line: int
    roles: tuple[str, ...]
    scope: str
    categories: tuple[str, ...]
    purpose: str
    action: str
    at: int | None
    expect: str
    rules: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out. `why` says it in sentences; `wrong` says what was not as expected, or is empty."""

    got: str
    reason: str
    rules: tuple[str, ...]
    why: tuple[str, ...]
    wrong: str

    @property
    def passed(self) -> bool:
        """Whether it is as expected."""
        return not self.wrong


def read_cases(document: Document) -> list[Case]:
    """The cases of one file. Raises `Invalid` naming field, rule and remedy, with the line in its detail."""
    reader = _Reader(document)
    whole = reader.mapping((), document.value)
    reader.closed((), whole, _FILE)
    tests = whole.get("tests")
    if not isinstance(tests, list) or not tests:
        raise reader.error(("tests",), "is no list of cases", "cases", "Write `tests:` and a case below it.")
    default = reader.instant(("at",), whole.get("at"))
    found = [case for place, _ in enumerate(tests) for case in reader.cases(("tests", place), default)]
    if len(found) > MAX_CASES:
        raise reader.error(
            ("tests",), f"has more than {MAX_CASES} cases", "count", "Split them into several files."
        )
    return found


def check_declared(engine: Engine, case: Case) -> None:
    """Raise `Invalid` for what no manifest declares: it would be denied for that, and prove nothing."""
    declared = engine.configuration
    rules = {rule.name for rule in engine.rules}
    rules |= {name.partition("#")[0] for name in rules}
    checks: tuple[tuple[str, tuple[str, ...], Container[str]], ...] = (
        ("roles", case.roles, {*declared.roles, *names.BUILTIN_ROLES}),
        ("scope", (case.scope,), declared.scopes),
        ("categories", case.categories, declared.categories),
        ("purpose", (case.purpose,), declared.purposes),
        ("action", (case.action,), names.CONTENT_ACTIONS),
        ("rules", case.rules or (), rules),
    )
    for field, given, known in checks:
        for name in given:
            if name not in known:
                shown = f"`{name}`" if field == "rules" else names.shown(name)
                raise _error(
                    case.line,
                    field,
                    f"names {shown}, which the manifests do not declare",
                    "declared",
                    "Correct its spelling, or declare it: a deny for what is unknown proves nothing.",
                )


def run_case(engine: Engine, case: Case, now: datetime) -> Outcome:
    """Ask the engine. The case is one that `check_declared` accepts."""
    at = now if case.at is None else moment(case.at)
    request = Request(engine.tenant, case.roles, case.scope, case.categories, case.purpose, case.action, at)
    told = explain(engine, request)
    got = ALLOW if told.allowed else DENY
    matched = tuple(
        dict.fromkeys(
            rule for one in told.categories for rule in (one.allows if told.allowed else one.denies)
        )
    )
    why = tuple(words(engine, request, told))
    return Outcome(got, told.reason.value, matched, why, _wrong(case, got, matched))


def _wrong(case: Case, got: str, matched: tuple[str, ...]) -> str:
    if got != case.expect:
        return f"expected {case.expect}, got {got}"
    if case.rules is None:
        return ""
    if not case.rules and matched:
        return f"expected no rule, but {', '.join(matched)} decided"
    decided = {*matched, *(rule.partition("#")[0] for rule in matched)}
    missing = [rule for rule in case.rules if rule not in decided]
    if missing:
        return f"expected {', '.join(missing)} to decide; it was {', '.join(matched) or 'no rule'}"
    return ""


class _Reader:
    """Reads one file's document and knows its lines."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def cases(self, at: Path, default: int | None) -> Iterator[Case]:
        """The cases of one item of `tests`."""
        item = self.mapping(at, self._value(at))
        is_table = "matrix" in item
        self.closed(at, item, _COMMON if is_table else (*_COMMON, *_ONE))
        common: dict[str, Any] = {
            "name": self._text(at, item, "name", default=f"{at[0]}[{at[1]}]", most=_NAME_MAX),
            "scope": self._text(at, item, "scope"),
            "purpose": self._text(at, item, "purpose"),
            "action": self._text(at, item, "action"),
            "at": self.instant((*at, "at"), item["at"]) if "at" in item else default,
        }
        if is_table:
            yield from self._table((*at, "matrix"), item["matrix"], common)
            return
        rules = self._names(at, item, "rules", least=0) if "rules" in item else None
        for rule in rules or ():
            if not _RULE.fullmatch(rule):
                raise self.error(
                    (*at, "rules"), "names no rule", "rule-name", "Write grant/NAME or grant/NAME#ROW."
                )
        yield Case(
            **common,
            line=self._line(at),
            roles=tuple(sorted(self._names(at, item, "roles"))),
            categories=self._names(at, item, "categories"),
            expect=self._expect((*at, "expect"), item.get("expect")),
            rules=rules,
        )

    def _table(self, at: Path, text: object, common: dict[str, Any]) -> Iterator[Case]:
        """The cells of a table: roles down, categories across; ` + ` joins several of either."""
        if not isinstance(text, str):
            raise self.error(at, "is not a table", "matrix", "Write `matrix: |` and the table below it.")
        rows = [
            (self._line(at) + number, [cell.strip() for cell in line.strip().strip("|").split("|")])
            for number, line in enumerate(text.splitlines(), start=1)
            if line.strip() and not re.fullmatch(r"[\s|:-]+", line)  # the line that Markdown wants
        ]
        if len(rows) < _LEAST_ROWS or len(rows[0][1]) < _LEAST_CELLS:
            raise self.error(
                at, "has no cell", "matrix", "Begin with a line of categories; then a line for each role."
            )
        (_, (_, *columns)), *body = rows
        for line, (role, *cells) in body:
            if len(cells) != len(columns):
                raise _error(
                    line,
                    _field(at),
                    f"has {len(cells)} answers in a row under {len(columns)} columns",
                    "matrix",
                    "Give every row an answer for each column.",
                )
            for column, cell in zip(columns, cells, strict=True):
                if cell not in (ALLOW, DENY):
                    raise _error(
                        line, _field(at), "has a cell that is no answer", "expect", "Write allow or deny."
                    )
                named = {**common, "name": f"{common['name']}: {role}, {column}"}
                yield Case(
                    **named,
                    line=line,
                    roles=tuple(sorted(_joined(role))),
                    categories=_joined(column),
                    expect=cell,
                )

    def mapping(self, at: Path, value: object) -> dict[str, Any]:
        """The value, if it is a mapping."""
        if not isinstance(value, dict):
            raise self.error(at, "is not a mapping", "mapping", "Write a mapping: `{key: value}`.")
        return cast("dict[str, Any]", value)

    def closed(self, at: Path, value: Mapping[str, Any], known: tuple[str, ...]) -> None:
        """Refuse fields that mean nothing here."""
        for name in value:
            if name not in known:
                fields = ", ".join(known)
                raise self.error((*at, name), "is not a field here", "unknown-field", f"Use {fields}.")

    def instant(self, at: Path, value: object) -> int | None:
        """Microseconds of an RFC 3339 text; None if there is none."""
        if value is None:
            return None
        try:
            return parse_rfc3339(str(value))
        except (ValueError, OverflowError):
            raise self.error(at, "is no instant", "instant", "Write it like 2026-01-31T12:00:00Z.") from None

    def error(self, at: Path, what: str, rule: str, remedy: str) -> Invalid:
        """The one form of an error in a file of cases."""
        return _error(self._line(at), _field(at), what, rule, remedy)

    def _text(self, at: Path, item: dict[str, Any], name: str, *, default: str = "", most: int = 200) -> str:
        value = item.get(name, default)
        if not isinstance(value, str) or not value or len(value) > most or not value.isprintable():
            raise self.error((*at, name), f"is no text of 1 to {most} characters", "text", f"Give `{name}:`.")
        return value

    def _names(self, at: Path, item: dict[str, Any], name: str, *, least: int = 1) -> tuple[str, ...]:
        value = item.get(name)
        if (
            not isinstance(value, list)
            or len(value) < least
            or not all(isinstance(one, str) and one for one in value)
        ):
            raise self.error((*at, name), "is not a list of names", "list", f"Write `{name}: [a, b]`.")
        return tuple(value)

    def _expect(self, at: Path, value: object) -> str:
        if value not in (ALLOW, DENY):
            raise self.error(at, "is no answer", "expect", "Write `expect: allow` or `expect: deny`.")
        return str(value)

    def _value(self, at: Path) -> object:
        value = self._document.value
        for step in at:
            value = value[step]
        return value

    def _line(self, at: Path) -> int:
        return self._document.line(at) or 1


def _joined(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split("+"))


def _field(at: Path) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at)
    return text.removeprefix(".") or "file"


def _error(line: int, field: str, what: str, rule: str, remedy: str) -> Invalid:
    return Invalid(f"line {line}: {field} {what}. {remedy}", field=field, rule=rule, remedy=remedy)
