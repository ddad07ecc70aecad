"""Scope patterns: which scopes a grant reaches.

`a.b` is that scope; `a.*` one level below `a`; `a.**` any depth below `a` (at least one); `**` every
declared scope. Reserved scopes are reached only by a pattern that itself starts with `tenure.`, so no
grant of a tenant, however wide, touches the service.
"""

from tenure.model.names import NAME_MAX, is_reserved_scope, is_scope

EVERY_SCOPE = "**"


def scope_match(scope: str, pattern: str) -> bool:
    """True if `pattern` reaches `scope`. An empty scope or pattern reaches nothing."""
    if not scope or not pattern or (is_reserved_scope(scope) and not is_reserved_scope(pattern)):
        return False
    if pattern == EVERY_SCOPE:
        return True
    if pattern.endswith(".**"):
        return scope.startswith(pattern[:-2]) and len(scope) > len(pattern) - 2
    if pattern.endswith(".*"):
        below = scope.removeprefix(pattern[:-1])
        return len(below) < len(scope) and below != "" and "." not in below
    return scope == pattern


def is_scope_pattern(text: str) -> bool:
    """True for a pattern that `scope_match` understands."""
    if text == EVERY_SCOPE:
        return True
    for ending in (".**", ".*"):
        if text.endswith(ending):
            return is_scope(text.removesuffix(ending)) and len(text) <= NAME_MAX
    return is_scope(text)


def is_exact(pattern: str) -> bool:
    """True for a pattern that names one scope."""
    return "*" not in pattern
