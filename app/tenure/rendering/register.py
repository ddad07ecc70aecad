"""The register of processing as a paper: a heading for each letter of GDPR Art. 30(1), and what was done."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tenure.rendering.paper import Block, Paper, Part, Section, Sentences, Table, Text
from tenure.rendering.values import shown

NOT_DECLARED: Final = "not declared"
_ANY: Final = "*"
_MUST: Final = ("lawful_bases", "retention", "purposes")
"""Where nothing is said that should be."""

Json = Mapping[str, Any]


def register_paper(found: Json) -> Paper:
    """The answer of `governance.register` as a paper. Whatever is not declared is said to be so."""
    return Paper(
        title="Record of processing activities",
        lead="Under Art. 30(1) GDPR, from what is declared to Tenure and what its log shows. It is as"
        " complete as the declarations are, and covers nothing that is processed elsewhere.",
        made_at=str(found["at"]),
        sections=(
            Section("a", "(a) Controller, representative and data protection officer", _controllers(found)),
            Section(
                "b",
                "(b) Purposes of the processing",
                _table(
                    found["purposes"],
                    {
                        "purpose": "Purpose",
                        "within": "Part of",
                        "scopes": "Where",
                        "lawful_bases": "Lawful basis",
                    },
                ),
            ),
            Section("c", "(c) Categories of data subjects and of personal data", _categories(found)),
            Section("d", "(d) Categories of recipients", _recipients(found)),
            Section(
                "e",
                "(e) Transfers to third countries or international organisations",
                (Text(NOT_DECLARED),),
            ),
            Section("f", "(f) Time limits for erasure", _erasure(found)),
            Section(
                "g",
                "(g) Technical and organisational security measures",
                (
                    Sentences(tuple(found["measures"])),
                    Text(f"Organisational measures, and those of whoever runs the service: {NOT_DECLARED}."),
                ),
            ),
            Section("activities", "The processing activities", _activities(found["scopes"])),
            Section("use", f"What was done in the last {found['use']['days']} days", _use(found)),
            Section("stored", "What is stored", _stored(found["stored"])),
            Section("missing", "What is not declared", (Sentences(tuple(found["not_declared"])),)),
            Section("about", "This register", _about(found)),
        ),
    )


_ANSWERS_FOR_IT = {
    "Controller": "name",
    "Contact": "contact",
    "Representative": "representative",
    "Data protection officer": "data_protection_officer",
}


def _controllers(found: Json) -> tuple[Block, ...]:
    rows = [{**one, "contact": one["contact"] or NOT_DECLARED} for one in found["controllers"]]
    columns = {
        "controller": "Controller",
        "contact": "Contact",
        "processors": "Processors",
        "scopes": "Where",
    }
    declared = found["controller"] or {}
    named = [
        {"what": what, "who": declared.get(member) or NOT_DECLARED}
        for what, member in _ANSWERS_FOR_IT.items()
    ]
    return (*_table(named, {"what": "", "who": ""}), *_table(rows, columns))


def _categories(found: Json) -> tuple[Block, ...]:
    columns = {"category": "Category", "within": "Part of", "scopes": "Where"}
    return (
        Part("Data subjects", _table(found["scopes"], {"scope": "Where", "about": "Who"})),
        Part("Personal data", _table(found["categories"], columns)),
    )


def _recipients(found: Json) -> tuple[Block, ...]:
    columns = {
        "name": "Recipient",
        "description": "Who and what for",
        "scopes": "Where",
        "categories": "What",
    }
    inside = {"role": "Role", "description": "Who", "may": "May"}
    return (
        Part("Outside the organisation", _table(found["recipients"], columns)),
        Part("Within it, by role", _table(found["internal"], inside)),
    )


def _erasure(found: Json) -> tuple[Block, ...]:
    columns = {"rule": "Rule", "scopes": "Where", "categories": "What", "says": "How long"}
    return _table(found["erasure"], columns)


def _activities(scopes: Sequence[Json]) -> tuple[Block, ...]:
    columns = {
        "scope": "Where",
        "description": "What it is",
        "purposes": "Purposes",
        "categories": "Categories",
        "lawful_bases": "Lawful basis",
        "roles": "Roles",
        "retention": "Retention",
    }
    return _table(scopes, columns)


def _use(found: Json) -> tuple[Block, ...]:
    columns = {
        "name": "Who",
        "purpose": "For",
        "scope": "Where",
        "category": "Category",
        "action": "Did",
        "times": "Times",
    }
    rows = [{**one, "name": one["name"] or one["principal"]} for one in found["use"]["items"]]
    return (*_table(rows, columns, empty="Nothing."), *(Text(one) for one in found["notes"]))


def _stored(rows: Sequence[Json]) -> tuple[Block, ...]:
    columns = {"scope": "Where", "tier": "Tier", "versions": "Versions", "bytes": "Bytes"}
    return _table(rows, columns, empty="Nothing was counted.")


def _about(found: Json) -> tuple[Block, ...]:
    return (
        Text(f"Made at {shown(found['at'])}. The declarations are those of the policy {found['policy']}."),
    )


def _table(rows: Sequence[Json], columns: Mapping[str, str], empty: str = NOT_DECLARED) -> tuple[Any, ...]:
    if not rows:
        return (Text(empty),)
    return (
        Table(
            tuple(columns.values()), tuple(tuple(_cell(name, row[name]) for name in columns) for row in rows)
        ),
    )


def _cell(column: str, value: Any) -> str:  # noqa: ANN401 - any JSON
    if value == [_ANY]:
        return "all"
    if value is None or value in ([], {}):
        return NOT_DECLARED if column in _MUST else "-"
    if isinstance(value, Mapping):
        parts = ((name, NOT_DECLARED if part is None else shown(part)) for name, part in value.items())
        return "; ".join(f"{name}: {part}" for name, part in parts)
    return shown(value)
