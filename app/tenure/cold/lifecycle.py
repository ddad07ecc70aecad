"""A bucket's lifecycle rules as code: made from retention classes, merged with what is there, compared. Pure.

A bucket has one list of rules for everybody who uses it, and a put replaces all of it (S3 API,
PutBucketLifecycleConfiguration). So every put says again what is not ours, as it was read. Ours are known by
the beginning of their ids, which has a digest of our place in it: another cell in the same bucket is a
stranger like any other.

Rules are dictionaries in the form of the AWS SDK (`LifecycleConfiguration.Rules`).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from tenure.cold.classes import RetentionClass
from tenure.cold.storage import StorageClasses
from tenure.errors import Invalid

TAG: Final = "tenure-class"
FOLDER: Final = "packs/"
MAX_RULES: Final = 1000
"""Rules in a bucket's configuration (S3 API, PutBucketLifecycleConfiguration)."""
LEFTOVERS: Final = "leftovers"
NONCURRENT_DAYS: Final = 1
UPLOAD_DAYS: Final = 1
REPLACED: Final = ("handover/", "ledger/", "probe/")
"""What else of the cell's leaves earlier versions behind, in a bucket that has Object Lock."""

Rule = Mapping[str, Any]
Is = Literal["added", "changed", "removed", "unchanged", "foreign"]


class Configuration(NamedTuple):
    """A bucket's rules, and the smallest object that they move, if set.

    The latter (`TransitionDefaultMinimumObjectSize`) is the bucket's, not a rule's: a put that leaves it out
    sets it back.
    """

    rules: tuple[Rule, ...] = ()
    minimum: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 in hex: the same for the same rules in another order."""
        whole = [self.minimum, sorted(_text(rule) for rule in self.rules)]
        return hashlib.sha256(_text(whole).encode()).hexdigest()


class Change(NamedTuple):
    """One rule, and what a merge makes of it. `rule` is the one that will be, of a removed one what was."""

    id: str
    change: Is
    rule: Rule


class Place(NamedTuple):
    """Where a cell's objects lie in a bucket: below `prefix`, which is empty or ends with a slash."""

    prefix: str

    @property
    def packs(self) -> str:
        """What all packs' names begin with."""
        return self.prefix + FOLDER

    @property
    def stem(self) -> str:
        """What the ids of this place's rules begin with."""
        return f"tenure-{hashlib.sha256(self.packs.encode()).hexdigest()[:8]}-"

    def owns(self, rule: Rule) -> bool:
        """Whether a rule is this place's."""
        return str(rule.get("ID", "")).startswith(self.stem)


def rules_for(
    place: Place, classes: Iterable[RetentionClass], storage: StorageClasses, *, locking: bool = False
) -> tuple[Rule, ...]:
    """The rules of a cell: one for each class with something ahead of it, and one for what is left over.

    `locking`: the bucket has Object Lock, and so versions of whatever is replaced or deleted. S3 lets no rule
    take one that is locked still.
    """
    wanted = sorted(set(classes), key=lambda one: one.name)
    rules = [rule for one in wanted for rule in _of_class(place, one, storage)]
    return (*rules, _leftovers(place), *(_replaced(place, one) for one in REPLACED if locking))


def merge(have: Configuration, place: Place, wanted: Sequence[Rule]) -> Configuration:
    """What to put: foreign rules as they are and where they are, ours as wanted.

    One of ours that says what is wanted in other words stays as it is; so merging twice is merging once.
    Raises Invalid when a bucket cannot have so many.
    """
    missing = {str(rule["ID"]): rule for rule in wanted}
    rules: list[Rule] = []
    for rule in have.rules:
        if not place.owns(rule):
            rules.append(rule)
        elif (mine := missing.pop(str(rule["ID"]), None)) is not None:
            rules.append(rule if normal(rule) == normal(mine) else mine)
    rules += missing.values()
    if len(rules) > MAX_RULES:
        foreign = sum(not place.owns(rule) for rule in rules)
        raise Invalid(
            f"The bucket would have {len(rules)} lifecycle rules: {len(rules) - foreign} of this cell and "
            f"{foreign} others. Nothing was changed.",
            field="rules",
            rule=f"at most {MAX_RULES} rules in a bucket",
            remedy="Let tenants share lengths of time (Retention manifests of equal days share a rule), take "
            "away others' rules, or give the cell a bucket of its own.",
        )
    return Configuration(tuple(rules), have.minimum)


def changes(have: Configuration, place: Place, wanted: Sequence[Rule]) -> list[Change]:
    """What `merge` would do, rule by rule: those of the bucket in their order, then what is added."""
    missing = {str(rule["ID"]): rule for rule in wanted}
    found = []
    for rule in have.rules:
        name = str(rule.get("ID", ""))
        if not place.owns(rule):
            found.append(Change(name, "foreign", rule))
        elif (mine := missing.pop(name, None)) is None:
            found.append(Change(name, "removed", rule))
        elif normal(rule) == normal(mine):
            found.append(Change(name, "unchanged", rule))
        else:
            found.append(Change(name, "changed", mine))
    return found + [Change(name, "added", rule) for name, rule in missing.items()]


def drifted(have: Configuration, place: Place, wanted: Sequence[Rule]) -> bool:
    """Whether our rules in the bucket are not those that are wanted. Foreign ones never matter."""
    return any(one.change in ("added", "changed", "removed") for one in changes(have, place, wanted))


def reaching(have: Configuration, place: Place) -> list[Rule]:
    """Foreign rules in force that may move or delete what lies in this place, packs or the published logs.

    A rule for objects with some other tag reaches nothing here: nothing here has one. Limits of size are not
    looked at.
    """
    return [rule for rule in have.rules if not place.owns(rule) and _reaches(rule, place.prefix)]


def normal(rule: Rule) -> dict[str, Any]:
    """A rule in one spelling: two that do the same are equal, whatever a server made of what was put.

    Servers fill in or leave out what is empty, give back a lone condition bare or below `And`, a prefix in
    its old place beside the filter, and moves and tags in an order of theirs.
    """
    given = rule.get("Filter") or {}
    conditions = {**given, **(given.get("And") or {})}
    conditions.pop("And", None)
    tags = [*(conditions.pop("Tags", None) or ()), *filter(None, [conditions.pop("Tag", None)])]
    prefix = conditions.pop("Prefix", None) or rule.get("Prefix") or ""
    kept = {name: value for name, value in rule.items() if name not in ("Filter", "Prefix")}
    for name in ("Transitions", "NoncurrentVersionTransitions"):
        kept[name] = sorted(kept.get(name) or (), key=_text)
    return {
        **_filled(kept),
        "where": [prefix, sorted((tag["Key"], tag["Value"]) for tag in tags), _filled(conditions)],
    }


def words(rule: Rule) -> str:
    """What a rule does, for people."""
    acts = list(_acts(rule)) or ["nothing"]
    state = "" if rule.get("Status") == "Enabled" else "switched off: "
    prefix, tags, more = normal(rule)["where"]
    where = [f"below {prefix}"] if prefix else ["everywhere"]
    where += [f"tagged {key}={value}" for key, value in tags]
    where += [f"{name} {value}" for name, value in more.items()]
    return f"{state}{', '.join(where)}: {', '.join(acts)}"


# ── our rules ────────────────────────────────────────────────────────────────────────────────────────
def _of_class(place: Place, one: RetentionClass, storage: StorageClasses) -> Iterator[Rule]:
    acts: dict[str, Any] = {}
    if moves := storage.moves(one):
        acts["Transitions"] = [{"Days": move.day, "StorageClass": move.storage_class} for move in moves]
    if one.expire_after_days is not None:
        acts["Expiration"] = {"Days": one.expire_after_days}
    if acts:
        tags = [{"Key": TAG, "Value": one.name}]
        yield {
            "ID": place.stem + one.name,
            "Status": "Enabled",
            "Filter": {"And": {"Prefix": place.packs, "Tags": tags}},
            **acts,
        }


def _leftovers(place: Place) -> Rule:
    # With a tag in its filter S3 takes neither delete markers nor uploads. In a bucket with versions an
    # expired pack is only hidden: this rule is what makes it go.
    return {
        "ID": place.stem + LEFTOVERS,
        "Status": "Enabled",
        "Filter": {"Prefix": place.packs},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
        "NoncurrentVersionExpiration": {"NoncurrentDays": NONCURRENT_DAYS},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOAD_DAYS},
    }


def _replaced(place: Place, folder: str) -> Rule:
    return {
        "ID": f"{place.stem}{LEFTOVERS}-{folder.removesuffix('/')}",
        "Status": "Enabled",
        "Filter": {"Prefix": place.prefix + folder},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
        "NoncurrentVersionExpiration": {"NoncurrentDays": NONCURRENT_DAYS},
    }


# ── any rule ─────────────────────────────────────────────────────────────────────────────────────────
def _reaches(rule: Rule, prefix: str) -> bool:
    theirs, tags, _ = normal(rule)["where"]
    overlaps = theirs.startswith(prefix) or prefix.startswith(theirs)
    tagged = any(not key.startswith("tenure-") for key, _ in tags)
    expiration = rule.get("Expiration") or {}
    acts = rule.get("Transitions") or expiration.get("Days") or expiration.get("Date")
    return rule.get("Status") == "Enabled" and overlaps and not tagged and bool(acts)


def _acts(rule: Rule) -> Iterator[str]:
    for move in sorted(rule.get("Transitions") or (), key=lambda move: (move.get("Days", 0), _text(move))):
        yield f"{_when(move)} to {move.get('StorageClass')}"
    expiration = rule.get("Expiration") or {}
    if "Days" in expiration or "Date" in expiration:
        yield f"{_when(expiration)} gone"
    for move in rule.get("NoncurrentVersionTransitions") or ():
        yield f"earlier versions on day {move.get('NoncurrentDays')} to {move.get('StorageClass')}"
    if earlier := rule.get("NoncurrentVersionExpiration"):
        yield f"earlier versions gone on day {earlier.get('NoncurrentDays')}"
    if expiration.get("ExpiredObjectDeleteMarker"):
        yield "delete markers of nothing gone"
    if uploads := rule.get("AbortIncompleteMultipartUpload"):
        yield f"unfinished uploads gone on day {uploads.get('DaysAfterInitiation')}"


def _when(act: Mapping[str, Any]) -> str:
    date = act.get("Date")
    if date is None:
        return f"on day {act.get('Days')}"
    return f"on {date.date() if isinstance(date, datetime) else date}"


def _filled(members: Mapping[str, Any]) -> dict[str, Any]:
    """Without what says nothing."""
    found = {name: _filled(value) if isinstance(value, Mapping) else value for name, value in members.items()}
    # By identity: 0 days are no days, and 0 equals False.
    return {
        name: value
        for name, value in found.items()
        if value is not None and value is not False and value not in ("", [], {})
    }


def _text(value: object) -> str:
    """Canonical enough to compare and to sort by; times as RFC 3339."""
    return json.dumps(value, sort_keys=True, default=lambda one: one.isoformat())
