"""The mapping file: how what is imported is labelled here. Its fields are explained in docs/import.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tenure.errors import Invalid, Malformed, TooLarge
from tenure.imports.pointer import steps_of
from tenure.imports.template import Template
from tenure.model.documents import Document, read_documents
from tenure.model.names import is_label, is_scope
from tenure.model.record import check_subject

M = TypeVar("M", bound="Mapping")
_DOCS = "See docs/import.md."


def _broken(rule: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError("mapping", "breaks a rule", {"rule": rule, "remedy": remedy})


def _pointer(text: str) -> str:
    try:
        steps_of(text)
    except ValueError:
        raise _broken("a JSON pointer (RFC 6901)", "Write it like /user/id.") from None
    return text


def _scope(text: str) -> str:
    if not is_scope(text):
        raise _broken("the name of a declared scope", "Write it like support.conversations.")
    return text


def _label(text: str) -> str:
    if not is_label(text):
        raise _broken("a name of the vocabulary", "Use lower-case letters, digits and hyphens.")
    return text


def _reference(text: str) -> str:
    try:
        check_subject(text)
    except Invalid as wrong:
        raise _broken(str(wrong.rule), str(wrong.remedy)) from None
    return text


def _template(text: str) -> str:
    try:
        Template.parse(text)
    except ValueError:
        raise _broken(
            "text with {/pointer}, {value} or {line} in it", "Write it like {/conversation}/{line}."
        ) from None
    return text


def _scalar(value: Any) -> Any:  # noqa: ANN401 - whatever the file says
    if value is not None and not isinstance(value, str | int | float):
        raise _broken("a text, a number, true, false or null", "Compare with one value.")
    return value


Scalar = Annotated[Any, AfterValidator(_scalar)]
Pointer = Annotated[str, AfterValidator(_pointer)]
ScopeName = Annotated[str, AfterValidator(_scope)]
Label = Annotated[str, AfterValidator(_label)]
Reference = Annotated[str, AfterValidator(_reference)]
Text = Annotated[str, AfterValidator(_template)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ScopeChoice(_Strict):
    """One scope for all (a text in the file), or the one that a field names, through `values` if given."""

    constant: ScopeName | None = None
    field: Pointer | None = None
    values: dict[str, ScopeName] | None = None

    @model_validator(mode="after")
    def _either(self) -> Self:
        _one_of(self.constant, self.field)
        return self


class CategoriesChoice(_Strict):
    """The same categories for all (a list in the file), or those that a field names."""

    constant: Annotated[list[Label], Field(min_length=1)] | None = None
    field: Pointer | None = None
    values: dict[str, Annotated[list[Label], Field(min_length=1)]] | None = None

    @model_validator(mode="after")
    def _either(self) -> Self:
        _one_of(self.constant, self.field)
        return self


class People(_Strict):
    """Where a subject is found: always the same ones, a field's value, or what a table says of that."""

    constant: Annotated[list[Reference], Field(min_length=1)] | None = None
    field: Pointer | None = None
    table: Annotated[str, Field(min_length=1)] | None = None
    template: Text = "{value}"

    @model_validator(mode="after")
    def _either(self) -> Self:
        if self.constant is None and self.field is None and self.table is not None:
            return self  # a table by thread id: the field is the kind's own
        _one_of(self.constant, self.field)
        return self


class Skip(_Strict):
    """What is left out: where a field has one of these values, or is missing."""

    field: Pointer
    equals: Scalar = None
    any_of: Annotated[list[Scalar], Field(min_length=1)] | None = None
    missing: bool | None = None

    @model_validator(mode="after")
    def _either(self) -> Self:
        if len(self.model_fields_set & {"equals", "any_of", "missing"}) != 1:
            raise _broken("one of equals, any_of and missing", "Give one of them.")
        return self


def _choice(given: Any) -> Any:  # noqa: ANN401 - whatever the file says
    return {"constant": given} if isinstance(given, str | list) else given


def _people(given: Any) -> Any:  # noqa: ANN401 - see above
    if isinstance(given, list) and given and all(isinstance(one, str) for one in given):
        return [{"constant": given}]
    return [given] if isinstance(given, dict) else given


class Mapping(_Strict):
    """What every mapping says."""

    scope: Annotated[ScopeChoice, BeforeValidator(_choice)]
    purpose: Label
    categories: Annotated[CategoriesChoice, BeforeValidator(_choice)]
    subjects: Annotated[list[People], BeforeValidator(_people)] = []
    on_missing_subject: Literal["refuse", "nobody"] = "refuse"
    skip: list[Skip] = []

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not self.subjects and self.on_missing_subject == "refuse":
            raise _broken(
                "subjects say whom it is about",
                "Say where the subject is found, or on_missing_subject: nobody if it is about nobody.",
            )
        return self


class LinesMapping(Mapping):
    """Of `tenure import jsonl`."""

    key: Text
    content: Pointer = ""
    metadata: dict[str, Pointer] = {}

    @model_validator(mode="after")
    def _tables_need_a_field(self) -> Self:
        _fields_of_tables(self)
        return self


class ThreadsMapping(Mapping):
    """Of `tenure import checkpoints`. `classes`: those of the application that its state may hold."""

    classes: list[str] = []


class ItemsMapping(Mapping):
    """Of `tenure import store`."""

    @model_validator(mode="after")
    def _tables_need_a_field(self) -> Self:
        _fields_of_tables(self)
        return self


def read_mapping(path: Path, kind: type[M]) -> M:
    """Read and check a mapping file. Raises Invalid naming the field, its line, the rule and what to do."""
    try:
        documents = read_documents(path.read_bytes())
    except OSError:
        raise Invalid(
            "The mapping file cannot be read. Nothing was imported.",
            field="--mapping",
            rule="a YAML file",
            remedy=_DOCS,
        ) from None
    except (Malformed, TooLarge) as wrong:
        on = f", line {wrong.line}" if wrong.line else ""
        raise Malformed(
            f"The mapping file is no YAML that can be read{on}. Nothing was imported.",
            field="--mapping",
            rule=wrong.rule or "YAML",
            remedy=wrong.remedy if isinstance(wrong, Malformed) else _DOCS,
            line=wrong.line,
        ) from None
    document = documents[0] if len(documents) == 1 else Document(None)
    try:
        return kind.model_validate(document.value)
    except ValidationError as wrong:
        raise _translated(wrong, document) from None


def _translated(wrong: ValidationError, document: Document) -> Invalid:
    first = wrong.errors(include_url=False, include_input=False)[0]
    context = first.get("ctx", {})
    # A text or a list stands for {constant: …}, which is not in the file.
    at = tuple(step for step in first["loc"] if step not in ("constant", "[key]"))
    field = "mapping" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at)
    line = document.line(at)
    rules = {"missing": "it must be given", "extra_forbidden": "no such field here"}
    rule = str(context.get("rule") or rules.get(first["type"], first["msg"]))
    return Invalid(
        f"{field}{f', line {line}' if line else ''}: {rule}. Nothing was imported.",
        field=field,
        rule=rule,
        remedy=str(context.get("remedy", _DOCS)),
        line=line,
    )


def _one_of(*given: str | Sequence[str] | None) -> None:
    if sum(one is not None for one in given) != 1:
        raise _broken("the value itself, or the field that has it", "Give one of them.")


def _fields_of_tables(mapping: Mapping) -> None:
    if any(one.table is not None and one.field is None for one in mapping.subjects):
        raise _broken("a table is asked by a field", "Add field: to subjects, such as /user.")
