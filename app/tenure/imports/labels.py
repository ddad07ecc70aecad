"""What a mapping says of one line, thread or item: whether it is skipped, where it goes, whom it is about."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenure.errors import Invalid
from tenure.imports.mapping import Mapping, People, Skip
from tenure.imports.people import Table, read_table
from tenure.imports.pointer import MISSING, at, steps_of
from tenure.imports.template import Template, text_of
from tenure.model.names import is_label, is_scope
from tenure.model.record import check_subject


@dataclass(frozen=True, slots=True)
class Place:
    """Where it goes: a scope, and under which categories."""

    scope: str
    categories: tuple[str, ...]


class Labeller:
    """A mapping with its tables, asked about documents. Raises Invalid for what it cannot label."""

    def __init__(self, mapping: Mapping, folder: Path, *, table_by: str | None = None) -> None:
        """`folder`: the mapping's. `table_by`: the pointer that tables are asked by if they say none."""
        self.mapping = mapping
        self._tables: dict[int, Table] = {
            number: read_table(folder / one.table, f"mapping.subjects[{number}].table")
            for number, one in enumerate(mapping.subjects)
            if one.table is not None
        }
        self._fields = [one.field if one.field is not None else table_by for one in mapping.subjects]

    def skipped(self, document: Any) -> str | None:  # noqa: ANN401 - any JSON, or an agent's state
        """The rule that leaves it out, such as `skip[0]`; None if it is taken."""
        for number, rule in enumerate(self.mapping.skip):
            if _applies(rule, document):
                return f"skip[{number}]"
        return None

    def place(self, document: Any) -> Place:  # noqa: ANN401 - see above
        """The scope and the categories."""
        return Place(self._scope(document), self._categories(document))

    def subjects(self, documents: Iterable[Any]) -> tuple[str, ...]:
        """Everybody that any of the documents (one thing at several times) names, each once.

        Each entry of the mapping's `subjects` must find somebody, or it is refused, unless nobody is fine.
        """
        found: list[dict[str, None]] = [{} for _ in self.mapping.subjects]
        for document in documents:
            for number, one in enumerate(self.mapping.subjects):
                found[number].update(dict.fromkeys(self._named(number, one, document)))
        for number, people in enumerate(found):
            if not people and self.mapping.on_missing_subject == "refuse":
                raise Invalid(
                    "It names nobody, and what is about nobody is not taken.",
                    field=f"subjects[{number}]",
                    rule="it names somebody",
                    remedy="Correct the mapping, add it to the table, skip it, or say"
                    " on_missing_subject: nobody.",
                )
        return tuple(dict.fromkeys(person for people in found for person in people))

    def _scope(self, document: Any) -> str:  # noqa: ANN401 - see above
        choice = self.mapping.scope
        if choice.field is None:
            return choice.constant or ""
        name = _text(document, choice.field, "scope")
        scope = name if choice.values is None else choice.values.get(name, "")
        if not is_scope(scope):
            raise _not_said("scope", "a scope, or a value that scope.values knows")
        return scope

    def _categories(self, document: Any) -> tuple[str, ...]:  # noqa: ANN401 - see above
        choice = self.mapping.categories
        if choice.field is None:
            return tuple(choice.constant or ())
        value = at(document, steps_of(choice.field))
        names = _texts(value)
        if choice.values is None:
            found = names
        else:
            found = [label for name in names for label in choice.values.get(name, ("",))]
        if not found or not all(is_label(one) for one in found):
            raise _not_said("categories", "categories, or values that categories.values knows")
        return tuple(dict.fromkeys(found))

    def _named(self, number: int, one: People, document: Any) -> Sequence[str]:  # noqa: ANN401 - see above
        if one.constant is not None:
            return one.constant
        value = at(document, steps_of(self._fields[number] or ""))
        if value is MISSING or value is None or value == "":
            return ()
        names = _texts(value)
        if not names:
            raise _not_said(f"subjects[{number}]", "a text, a whole number, or a list of them")
        if number in self._tables:
            names = [person for name in names for person in self._tables[number].get(name, ())]
        template = Template.parse(one.template)
        people = [template.filled(document, {"value": name}, f"subjects[{number}]") for name in names]
        for person in people:
            check_subject(person, f"subjects[{number}]")
        return people


def _applies(rule: Skip, document: Any) -> bool:  # noqa: ANN401 - see above
    value = at(document, steps_of(rule.field))
    if rule.missing is not None:
        return (value is MISSING) == rule.missing
    wanted = rule.any_of if rule.any_of is not None else [rule.equals]
    # JSON's true is not its 1.
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in wanted)


def _text(document: Any, field: str, name: str) -> str:  # noqa: ANN401 - see above
    value = at(document, steps_of(field))
    text = None if value is MISSING else text_of(value)
    if text is None:
        raise _not_said(name, "a text")
    return text


def _texts(value: Any) -> list[str]:  # noqa: ANN401 - see above
    """One text, or a list of them; empty when there is anything else."""
    if value is MISSING:
        return []
    texts = [text_of(one) for one in (value if isinstance(value, list | tuple) else [value])]
    return [] if None in texts else [text for text in texts if text is not None]


def _not_said(field: str, rule: str) -> Invalid:
    return Invalid(
        f"What stands where the mapping looks for {field} cannot be used.",
        field=field,
        rule=rule,
        remedy="Correct the mapping, or skip what lacks it.",
    )
