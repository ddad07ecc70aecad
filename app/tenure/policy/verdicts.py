"""What is asked of policy and what it answers: frozen values."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Why a verdict is what it is. Everything but ALLOWED is a denial."""

    ALLOWED = "allowed"
    DENY_RULE = "deny-rule"
    """A rule denies it for at least one category."""
    NO_RULE = "no-rule"
    """No rule allows it for at least one category."""
    BEYOND = "credential-reach"
    """The credential is narrower than its principal (`rights`)."""
    EMPTY_FIELD = "empty-field"
    MALFORMED = "malformed"
    """A field has the wrong type, or `now` no time zone."""
    WRONG_TENANT = "wrong-tenant"
    UNKNOWN_SCOPE = "unknown-scope"
    UNKNOWN_CATEGORY = "unknown-category"
    UNKNOWN_PURPOSE = "unknown-purpose"
    UNKNOWN_ACTION = "unknown-action"
    NO_POLICY = "no-policy"
    """The engine has no rule at all."""
    FAILURE = "failure"
    """Casbin raised; the answer is not kept."""


class Request(NamedTuple):
    """One question. `roles` and `categories` are tuples of names, at least one each.

    `now` is aware, as `ids.moment` gives it. Judge a stored record by its own
    labels, never by what the caller says they are. A named tuple because one is made for every access.
    """

    tenant: str
    roles: tuple[str, ...]
    scope: str
    categories: tuple[str, ...]
    purpose: str
    action: str
    now: datetime


class Verdict(NamedTuple):
    """The answer.

    `rules`: for an allow, for each category the last allowing rule; for DENY_RULE the denying rules;
    else empty (`explain` names all). `expires`: the earliest instant after the request's `now` at which
    a time limit of a rule may change this answer, or None.
    """

    allowed: bool
    rules: tuple[str, ...]
    reason: Reason
    expires: datetime | None = None
