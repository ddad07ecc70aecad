"""The `spec` of each manifest kind: shapes and single-field rules.

A rule that needs other manifests (is this role declared?) is in `configuration.py`. Every rule raises
a `PydanticCustomError` whose type is the frozen name of the rule and whose context is the remedy.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    WithJsonSchema,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from tenure.ids import parse_rfc3339, rfc3339
from tenure.model import names
from tenure.model.names import ANY
from tenure.model.scope_rules import is_scope_pattern
from tenure.model.vocabulary import LAWFUL_BASES, edges

TEXT_MAX = 2000
LIST_MAX = 1000
TREE_MAX = 1000
HOURS_MAX = 720
MINUTES_MAX = 1440
TREE_DEPTH_MAX = 24
"""Leaves room under the 32 levels of a document for the manifest, and for the list it may stand in."""

# RFC 3339 §5.6. fromisoformat alone also takes ISO 8601 forms that RFC 3339 does not have.
_RFC3339 = re.compile(
    r"(?:19[7-9]\d|[2-9]\d{3})-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)\Z"
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_LABEL_REMEDY = "Use lowercase letters, digits and inner hyphens, 63 characters at most."


def broken(rule: str, detail: str, remedy: str) -> PydanticCustomError:
    """An error of a named rule, in the form that `manifests.py` turns into `Invalid`."""
    # Braces would be read as places of the template.
    return PydanticCustomError(rule, detail.replace("{", "(").replace("}", ")"), {"remedy": remedy})


def _text(value: str) -> str:
    if any(char < " " and char not in "\n\t" for char in value):
        raise broken("printable", "contains control characters", "Remove them.")
    return value


def _label(value: str) -> str:
    if not names.is_label(value):
        raise broken("name", f"{names.shown(value)} is not a name", _LABEL_REMEDY)
    return value


def _event(value: str) -> str:
    if not names.is_scope(value):
        raise broken(
            "event-name",
            f"{names.shown(value)} is not the name of an event",
            "Use lowercase letters, digits and inner hyphens, joined by dots, such as `customer.churned`.",
        )
    return value


def _label_or_any(value: str) -> str:
    return value if value == ANY else _label(value)


def _pattern(value: str) -> str:
    if value == ANY:
        raise broken("scope-pattern", "`*` alone is not a scope pattern", "Write `**` for every scope.")
    if not is_scope_pattern(value):
        raise broken(
            "scope-pattern",
            f"{names.shown(value)} is not a scope pattern",
            "Write `a.b` for that scope, `a.*` for one level below, `a.**` for any depth, `**` for all.",
        )
    if names.is_reserved_scope(value):
        raise broken(
            "reserved",
            "scopes under `tenure` are the service's own",
            "Give the person a built-in role instead.",
        )
    return value


def _action(value: str) -> str:
    if value not in (*names.CONTENT_ACTIONS, ANY):
        raise broken(
            "action", f"{names.shown(value)} is not an action", "Use read, write, list, delete or `*`."
        )
    return value


def _webhook(value: str) -> str:
    """https, or http to this very machine; no credentials, which manifests and bundles would show around."""
    try:
        url = urlsplit(value)
        host, _ = url.hostname or "", url.port
    except ValueError:
        host = ""
    plain = value.isascii() and value.isprintable() and " " not in value
    if (
        not (plain and host and (url.scheme == "https" or (url.scheme == "http" and host in _LOOPBACK)))
        or "@" in url.netloc
        or "#" in value
    ):
        raise broken(
            "webhook",
            "is not a web address that can be asked",
            "Write an https address without user, password and fragment; http is for localhost only.",
        )
    return value


def _hours(value: object) -> object:
    # A number in YAML is read as a float; true is no number.
    if type(value) in (int, float) and value in range(1, HOURS_MAX + 1):
        return int(cast("float", value))
    raise broken("hours", f"is not 1 to {HOURS_MAX} whole hours", "Write a number such as 72 without quotes.")


def _minutes(value: object) -> object:
    if type(value) in (int, float) and value in range(1, MINUTES_MAX + 1):
        return int(cast("float", value))
    raise broken(
        "minutes", f"is not 1 to {MINUTES_MAX} whole minutes", "Write a number such as 60 without quotes."
    )


def _alone_to_list(value: object) -> object:
    return [ANY] if value == ANY else value


def _sorted_set(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise broken("not-empty", "is empty", "Name at least one, or leave the manifest out.")
    if len(set(value)) != len(value):
        raise broken("unique", "names the same thing twice", "Name each once.")
    if ANY in value and len(value) > 1:
        raise broken("wildcard-alone", "`*` stands beside other names", "Write `*` alone, or the names.")
    return tuple(sorted(value))


def _instant(value: object) -> object:
    if isinstance(value, str) and _RFC3339.match(value):
        try:
            at = parse_rfc3339(value.upper())
        except (ValueError, OverflowError):
            at = -1
        if at >= 0:
            return at
    raise broken(
        "rfc3339",
        "is not an RFC 3339 instant from 1970 on",
        "Write it as 2027-01-31T00:00:00Z, with `Z` or an offset.",
    )


def _tree(value: Any) -> object:  # noqa: ANN401  # pydantic gives whatever the manifest holds
    _tree_level(value)
    flat = [name for name, _ in edges(value)]
    if len(flat) > TREE_MAX:
        raise broken("size", f"has more than {TREE_MAX} names", "Merge what no grant tells apart.")
    if len(set(flat)) != len(flat):
        twice = next(name for place, name in enumerate(flat) if name in flat[:place])
        raise broken("unique", f"has `{twice}` in two places", "Use each name once in the tree.")
    return _normal(value)


def _tree_level(value: object, depth: int = 1) -> None:
    if depth > TREE_DEPTH_MAX + 1:
        raise broken("depth", f"nests deeper than {TREE_DEPTH_MAX} names", "Flatten it.")
    if not isinstance(value, Mapping):
        raise broken("tree", "is not a tree of names", "Write nested mappings: `personal: {contact: {}}`.")
    for name, below in value.items():
        if not isinstance(name, str) or not names.is_label(name):
            raise broken("name", f"has {names.shown(name)}, which is not a name", _LABEL_REMEDY)
        if below is not None:
            _tree_level(below, depth + 1)


def _normal(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _normal(below or {}) for name, below in sorted(value.items())}


# What a type's validators say, as JSON Schema (`schemas.py`): never stricter than they are.
_PATTERN = rf"^(?:\*\*|{names.LABEL}(?:\.{names.LABEL})*(?:\.\*\*?)?)$"
_LABELS: dict[str, Any] = {"type": "string", "pattern": f"^{names.LABEL}$"}
_OR_ANY: dict[str, Any] = {"type": "string", "pattern": rf"^(?:\*|{names.LABEL})$"}
_ACTIONS: dict[str, Any] = {"enum": [*names.CONTENT_ACTIONS, ANY]}


def list_schema(items: dict[str, Any]) -> dict[str, Any]:
    """A list of different things that is not empty."""
    return {"type": "array", "items": items, "minItems": 1, "maxItems": LIST_MAX, "uniqueItems": True}


def _or_alone(items: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"const": ANY}, list_schema(items)]})


Text = Annotated[str, Strict(), Field(max_length=TEXT_MAX), AfterValidator(_text)]
Label = Annotated[str, Strict(), AfterValidator(_label), WithJsonSchema(_LABELS)]
EventName = Annotated[
    str,
    Strict(),
    AfterValidator(_event),
    WithJsonSchema({"type": "string", "pattern": names.SCOPE, "maxLength": names.NAME_MAX}),
]
"""Of the form of a scope: labels joined by dots."""
NameTree = Annotated[dict[str, Any], BeforeValidator(_tree), WithJsonSchema({"format": "names"})]
Instant = Annotated[
    int,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": f"^{_RFC3339.pattern[:-2]}$"}),
]
_set_of: tuple[Any, ...] = (Field(max_length=LIST_MAX), AfterValidator(_sorted_set))
ListOfNames = Annotated[tuple[Label, ...], *_set_of, WithJsonSchema(list_schema(_LABELS))]


_NameOrAny = Annotated[str, Strict(), AfterValidator(_label_or_any)]
NamesOrAny = Annotated[tuple[_NameOrAny, ...], BeforeValidator(_alone_to_list), *_set_of, _or_alone(_OR_ANY)]
_Pattern = Annotated[str, Strict(), AfterValidator(_pattern)]
Patterns = Annotated[
    tuple[_Pattern, ...],
    *_set_of,
    WithJsonSchema(list_schema({"type": "string", "pattern": _PATTERN, "maxLength": names.NAME_MAX})),
]
Webhook = Annotated[
    Text,
    AfterValidator(_webhook),
    WithJsonSchema({"type": "string", "pattern": r"^[hH][tT][tT][pP][sS]?://\S+$", "maxLength": TEXT_MAX}),
]
_Minutes = Annotated[
    int,
    BeforeValidator(_minutes),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MINUTES_MAX}),
]
_Hours = Annotated[
    int,
    BeforeValidator(_hours),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": HOURS_MAX}),
]
_Action = Annotated[str, Strict(), AfterValidator(_action)]
_Actions = Annotated[tuple[_Action, ...], BeforeValidator(_alone_to_list), *_set_of, _or_alone(_ACTIONS)]


class Spec(BaseModel):
    """Frozen, closed to unknown fields, camelCase outside."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=False, strict=False
    )

    def canonical(self) -> dict[str, Any]:
        """JSON-able, camelCase, lists sorted, unset fields left out."""
        found: dict[str, Any] = _lists(self.model_dump(mode="python", by_alias=True, exclude_none=True))
        return found


def _lists(value: Any) -> Any:  # noqa: ANN401 - what a model dumps
    if isinstance(value, dict):
        return {key: _lists(one) for key, one in value.items()}
    return [_lists(one) for one in value] if isinstance(value, tuple) else value


class VocabularySpec(Spec):
    """The category tree, the purpose tree, and the lawful bases (GDPR Art. 6(1) if left out)."""

    categories: NameTree
    purposes: NameTree
    lawful_bases: ListOfNames = tuple(sorted(LAWFUL_BASES))


class DerivedSpec(Spec):
    """What becomes of a scope's derived versions that name nobody, when a person behind them is erased."""

    on_erasure: Literal["shred", "rederive", "keep"] = "shred"
    ground: Text | None = None
    webhook: Webhook | None = None
    within_hours: _Hours | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        keeps, asks = self.on_erasure == "keep", self.on_erasure == "rederive"
        if keeps != bool((self.ground or "").strip()) or (self.ground is not None and not keeps):
            raise broken(
                "derived-ground",
                "`keep` and `ground` do not stand together",
                "Say in `ground` why derived data outlives the person; leave it out with another rule.",
            )
        if asks != (self.webhook is not None) or asks != (self.within_hours is not None):
            raise broken(
                "derived-webhook",
                "`rederive`, `webhook` and `withinHours` do not stand together",
                "Say with `rederive` whom to ask and for how long; leave both out with another rule.",
            )
        return self


class AccessSpec(Spec):
    """What a person who asks for what is held (Art. 15) is given of versions about others, too.

    `none`: that there is one, of which kind and when. `own-segments`: of a version in segments, those that
    are about this person alone. `named-segments`: those that name the person, whoever else they name.
    `whole`: all of it. `unnamedSegments`: segments that name nobody as well.
    """

    shared: Literal["none", "own-segments", "named-segments", "whole"] = "own-segments"
    unnamed_segments: Annotated[bool, Strict()] = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.unnamed_segments and self.shared not in ("own-segments", "named-segments"):
            raise broken(
                "access-segments",
                "`unnamedSegments` belongs to shared `own-segments` and `named-segments`",
                "Leave it out: with `whole` they are given anyway, with `none` nothing is.",
            )
        return self


class ScopeSpec(Spec):
    """A place for context: whose it is, what may be written there, and on which ground."""

    description: Text
    controller: Text
    processor: Text | None = None
    lawful_basis: dict[Label, Label] | None = None
    categories: ListOfNames
    subjects: Literal["required", "optional", "none"]
    joint_erasure: Literal["any", "all"] = "any"
    ground: Text | None = None
    derived: DerivedSpec | None = None
    access: AccessSpec | None = None

    @field_validator("access")
    @classmethod
    def _one_spelling_of_access(cls, value: AccessSpec | None) -> AccessSpec | None:
        """As of `derived`."""
        return None if value == AccessSpec() else value

    @property
    def on_access(self) -> AccessSpec:
        """The rule for shared versions in access packages, given or not."""
        return self.access or AccessSpec()

    @field_validator("derived")
    @classmethod
    def _one_spelling(cls, value: DerivedSpec | None) -> DerivedSpec | None:
        """The default written out is the default left out: both have one digest."""
        return None if value == DerivedSpec() else value

    @property
    def on_derived(self) -> DerivedSpec:
        """The rule for derived versions, given or not."""
        return self.derived or DerivedSpec()

    @model_validator(mode="after")
    def _all_needs_ground(self) -> Self:
        if self.joint_erasure == "all" and not (self.ground or "").strip():
            raise broken(
                "joint-erasure-ground",
                "jointErasure is `all` without a `ground`",
                "Say in `ground` why one person's erasure waits for the others, or use `any`.",
            )
        if self.joint_erasure == "any" and self.ground is not None:
            raise broken(
                "joint-erasure-ground", "`ground` belongs to jointErasure `all`", "Leave `ground` out."
            )
        return self


class BreakGlassSpec(Spec):
    """That a role is for emergencies: for how long at most, who approves, and when a review is due."""

    max_minutes: _Minutes
    approver_roles: ListOfNames
    review_within_hours: _Hours


class RoleSpec(Spec):
    """A named role. What it may do is said by grants. With `breakGlass` nobody has it of their own."""

    description: Text
    break_glass: BreakGlassSpec | None = None


class GrantSpec(Spec):
    """Who may, or may not, do what, where, for what, and when: [notBefore, notAfter).

    The two instants are microseconds inside and RFC 3339 outside.
    """

    description: Text | None = None
    roles: NamesOrAny
    scopes: Patterns
    categories: NamesOrAny
    purposes: NamesOrAny
    actions: _Actions
    effect: Literal["allow", "deny"]
    not_before: Instant | None = None
    not_after: Instant | None = None

    @field_serializer("not_before", "not_after")
    def _rfc3339(self, value: int | None) -> str | None:
        return None if value is None else rfc3339(value)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.not_before is not None and self.not_after is not None and self.not_before >= self.not_after:
            raise broken(
                "time-order",
                "notAfter is not later than notBefore",
                "Give the grant a time in which it holds.",
            )
        if self.effect == "allow" and ANY in self.roles:
            raise broken(
                "named-roles",
                "an allow for every role would let built-in roles read content",
                "Name the roles; `*` is for effect `deny`.",
            )
        return self
