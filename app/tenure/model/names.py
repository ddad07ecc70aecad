"""The administrators' vocabulary: which names may be declared, and which are Tenure's own.

Names are DNS-like (RFC 1123 §2.1): labels of lowercase letters, digits and inner hyphens, at most
63 long. Scopes are labels joined by dots; everything else is one label.
"""

import re

NAME_MAX = 200
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"

SCOPE = rf"^{LABEL}(?:\.{LABEL})*$"
"""The form of a scope, for schemas; at most 200 characters besides."""

_LABEL = re.compile(rf"{LABEL}\Z")
_SCOPE = re.compile(rf"{LABEL}(?:\.{LABEL})*\Z")
_SHOWABLE = re.compile(r"[A-Za-z0-9*][A-Za-z0-9.*_-]{0,199}\Z")

AUDITOR, DPO, OPERATOR, TENANT_ADMIN = "auditor", "dpo", "operator", "tenant-admin"
BUILTIN_ROLES = (AUDITOR, DPO, OPERATOR, TENANT_ADMIN)
"""Roles that govern the service. They never read content by themselves."""

RESERVED_PREFIX = "tenure"
"""Scopes at or below this name are the service itself; no manifest declares or reaches them."""

SERVICE_CATEGORY = "service"
SERVICE_PURPOSE = "administration"

ANY = "*"
CONTENT_ACTIONS = ("delete", "list", "read", "write")
SERVICE_ACTIONS = ("explain", "read", "shred", "write")


def is_label(text: str) -> bool:
    """True for one DNS-like label: the form of roles, grants, categories and purposes."""
    return _LABEL.match(text) is not None


def is_scope(text: str) -> bool:
    """True for a dot-separated scope name of at most 200 characters. Reserved names pass too."""
    return len(text) <= NAME_MAX and _SCOPE.match(text) is not None


def is_reserved_scope(text: str) -> bool:
    """True for `tenure` and everything below it."""
    return text == RESERVED_PREFIX or text.startswith(RESERVED_PREFIX + ".")


def shown(name: object) -> str:
    """The name for an error message, or a stand-in: what is not shaped like a name may be contents."""
    return f"`{name}`" if isinstance(name, str) and _SHOWABLE.match(name) else "a value"
