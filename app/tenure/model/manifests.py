"""Manifests: text or parsed JSON in, frozen values out.

Each kind's shape is in `specs.py`, the rules between manifests in `configuration.py`. Nothing here
applies anything: a manifest that parses is well-formed, not yet accepted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from tenure.errors import Invalid, TooLarge
from tenure.model import names
from tenure.model.agents import AgentSpec
from tenure.model.controller import ControllerSpec
from tenure.model.documents import Document, Path, check_depth, read_documents
from tenure.model.recipients import RecipientSpec
from tenure.model.retention import RetentionSpec
from tenure.model.specs import GrantSpec, RoleSpec, ScopeSpec, Spec, VocabularySpec

API_VERSION = "tenure/v1"
COUNT_MAX = 2000
VOCABULARY_NAME = "default"
CONTROLLER_NAME = "default"

SPECS: Mapping[str, type[Spec]] = {
    "Vocabulary": VocabularySpec,
    "Scope": ScopeSpec,
    "Role": RoleSpec,
    "Grant": GrantSpec,
    "Retention": RetentionSpec,
    "Recipient": RecipientSpec,
    "Agent": AgentSpec,
    "Controller": ControllerSpec,
}
"""The kinds of this version, in the order in which they build on each other."""
NOT_ENFORCED = frozenset({"Agent"})
"""Kinds that are checked and kept, and that nothing of this version goes by."""

_ENVELOPE = ("apiVersion", "kind", "metadata", "spec")

# pydantic's own error types, as our rules and what to do about them.
_RULES = {
    "missing": ("required", "is missing", "Add it."),
    "extra_forbidden": ("unknown-field", "is not a field of this kind", "Remove it or correct its spelling."),
    "string_type": ("text", "is not text", "Write text; put numbers and true/false in quotes."),
    "string_unicode": ("printable", "contains half a surrogate pair", "Remove it."),
    "string_too_long": ("size", "is too long", "Shorten it to 2000 characters."),
    "too_long": ("size", "has too many items", "Split it; 1000 items at most."),
    "too_short": ("not-empty", "is empty", "Name at least one."),
    "tuple_type": ("list", "is not a list", "Write a list: `[a, b]`."),
    "model_type": ("mapping", "is not a mapping", "Write a mapping: `{key: value}`."),
    "bool_type": ("choice", "is neither true nor false", "Write `true` or `false`, without quotes."),
    "dict_type": ("mapping", "is not a mapping", "Write a mapping: `{key: value}`."),
}


_NOWHERE = Document(None)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One declaration. `source` is the text that it was read from, to say where something in it is wrong."""

    kind: str
    name: str
    spec: Spec = field(hash=False)
    source: Document = field(default=_NOWHERE, compare=False, repr=False)

    @property
    def line(self) -> int | None:
        """Where its text began, if that is known."""
        return self.source.line(())

    def canonical(self) -> dict[str, Any]:
        """The JSON-able form that is stored and digested; `parse_manifests` takes it back unchanged."""
        return {
            "apiVersion": API_VERSION,
            "kind": self.kind,
            "metadata": {"name": self.name},
            "spec": self.spec.canonical(),
        }


def parse_manifests(text: str | bytes | list[Any] | dict[str, Any]) -> tuple[Manifest, ...]:
    """Read manifests from YAML documents, JSON (an object, a list, `{"files": [texts]}`) or parsed JSON.

    Raises `Malformed` for unreadable text, `TooLarge` over 1 MiB, 2000 manifests or 32 levels, and
    `Invalid` for a broken rule; `field` is a path such as `manifests[2].spec.categories[0]`.
    """
    if isinstance(text, str | bytes):
        documents = [item for document in read_documents(text) for item in document.items()]
    else:
        check_depth(text)
        documents = list(Document(text).items())
    if len(documents) > COUNT_MAX:
        raise TooLarge(
            f"There are more than {COUNT_MAX} manifests. Nothing was applied.",
            field="manifests",
            rule="count",
            remedy="Split them into several applies.",
        )
    return tuple(_Reader(index, document).manifest() for index, document in enumerate(documents))


def canonical(manifests: Iterable[Manifest]) -> list[dict[str, Any]]:
    """The canonical forms, ordered by kind and name."""
    return [manifest.canonical() for manifest in sorted(manifests, key=lambda each: (each.kind, each.name))]


def invalid(
    where: str,
    what: str,
    *,
    rule: str,
    remedy: str,
    source: Document = _NOWHERE,
    at: Path = (),
    owner: str = "",
) -> Invalid:
    """The one form of a manifest error: the place, the manifest, the line if known, what to do.

    `at` is the part of the `source` that is wrong.
    """
    line = source.line(at)
    on = f", line {line}" if line is not None else ""
    return Invalid(
        f"{where}{f' ({owner}{on})' if owner else on}: {what}. Nothing was applied. {remedy}",
        field=where,
        rule=rule,
        remedy=remedy,
        line=line,
        file=source.file,
    )


class _Reader:
    """Reads one manifest and knows where it stands, for the errors."""

    def __init__(self, index: int, document: Document) -> None:
        self._index = index
        self._document = document
        self._owner = ""

    def manifest(self) -> Manifest:
        """Check the envelope, then the spec of its kind."""
        whole = self._mapping((), self._document.value)
        self._version(whole)
        kind = self._kind(whole)
        name = self._name(whole, kind)
        self._closed(whole, _ENVELOPE, ())
        if "spec" not in whole:
            raise self._error(("spec",), "is missing", "required", "Add it.")
        spec = self._mapping(("spec",), whole["spec"])
        try:
            found = SPECS[kind].model_validate(spec)
        except ValidationError as problem:
            raise self._translated(problem) from None
        document = self._document
        source = document if document.lines or document.file is not None else _NOWHERE
        return Manifest(kind, name, found, source)

    def _version(self, whole: dict[str, Any]) -> None:
        if "apiVersion" not in whole:
            raise self._error(("apiVersion",), "is missing", "required", f"Add `apiVersion: {API_VERSION}`.")
        if whole["apiVersion"] != API_VERSION:
            raise self._error(
                ("apiVersion",), "is not a version this service reads", "api-version", f"Use `{API_VERSION}`."
            )

    def _kind(self, whole: dict[str, Any]) -> str:
        if "kind" not in whole:
            raise self._error(("kind",), "is missing", "required", f"Use one of {', '.join(SPECS)}.")
        kind = whole["kind"]
        if not isinstance(kind, str) or kind not in SPECS:
            raise self._error(
                ("kind",),
                f"kind {names.shown(kind)} is not supported by this version",
                "kind",
                f"Use one of {', '.join(SPECS)}.",
            )
        return kind

    def _name(self, whole: dict[str, Any], kind: str) -> str:
        if "metadata" not in whole:
            raise self._error(("metadata",), "is missing", "required", "Add `metadata: {name: …}`.")
        metadata = self._mapping(("metadata",), whole["metadata"])
        self._closed(metadata, ("name",), ("metadata",))
        at: Path = ("metadata", "name")
        if "name" not in metadata:
            raise self._error(at, "is missing", "required", "Add a name.")
        name = metadata["name"]
        if not isinstance(name, str):
            raise self._error(at, "is not text", "text", "Write the name in quotes.")
        if not (names.is_scope(name) if kind == "Scope" else names.is_label(name)):
            form = "labels joined by dots, 200 characters in all" if kind == "Scope" else "63 at most"
            raise self._error(
                at,
                f"{names.shown(name)} is not a name",
                "name",
                f"Use lowercase letters, digits and inner hyphens; {form}.",
            )
        self._owner = f"{kind} {name}"
        if kind == "Scope" and names.is_reserved_scope(name):
            raise self._error(at, "scopes under `tenure` are the service's own", "reserved", "Rename it.")
        if kind == "Role" and name in names.BUILTIN_ROLES:
            raise self._error(at, f"`{name}` is a built-in role", "reserved", "Rename it.")
        if kind == "Vocabulary" and name != VOCABULARY_NAME:
            raise self._error(
                at, "a tenant has one vocabulary", "one-vocabulary", f"Name it `{VOCABULARY_NAME}`."
            )
        if kind == "Controller" and name != CONTROLLER_NAME:
            raise self._error(
                at, "a tenant has one controller", "one-controller", f"Name it `{CONTROLLER_NAME}`."
            )
        return name

    def _mapping(self, at: Path, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._error(at, "is not a mapping", "mapping", "Write `key: value` lines.")
        if not all(isinstance(key, str) for key in value):
            raise self._error(at, "has a key that is not text", "text-keys", "Put the key in quotes.")
        return value

    def _closed(self, mapping: dict[str, Any], known: tuple[str, ...], at: Path) -> None:
        for key in mapping:
            if key not in known:
                raise self._error(
                    (*at, key),
                    "is not a field here",
                    "unknown-field",
                    f"Remove it; the fields are {', '.join(known)}.",
                )

    def _translated(self, problem: ValidationError) -> Invalid:
        first = problem.errors(include_url=False, include_input=False)[0]
        kind, context = first["type"], first.get("ctx", {})
        if "remedy" in context:
            rule, what, remedy = kind, first["msg"], context["remedy"]
        elif kind == "literal_error":
            rule, what, remedy = "choice", "is not one of the choices", f"Use {context['expected']}."
        else:
            rule, what, remedy = _RULES.get(kind, ("shape", "has the wrong shape", "See docs/manifests.md."))
        at = tuple(step for step in first["loc"] if step != "[key]")
        return self._error(("spec", *at), what, rule, remedy)

    def _error(self, at: Path, what: str, rule: str, remedy: str) -> Invalid:
        return invalid(
            field_path(f"manifests[{self._index}]", at),
            what,
            rule=rule,
            remedy=remedy,
            source=self._document,
            at=at,
            owner=self._owner,
        )


def field_path(root: str, steps: Iterable[str | int]) -> str:
    """`manifests[2].spec.categories[0]`; a step that is not shaped like a name is shown as `?`."""
    parts = [root]
    for step in steps:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            parts.append(f".{step}" if names.shown(step) != "a value" else ".?")
    return "".join(parts)
