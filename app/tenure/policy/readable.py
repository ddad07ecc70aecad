"""What a caller may see, as sets that a query can be restricted by before anything is fetched."""

from collections.abc import Callable


class Readable:
    """Allowed categories by declared scope, each worked out when first asked for.

    A record is allowed exactly if all its categories are in `allows(its scope)`.
    """

    __slots__ = ("_look_up", "_scopes")

    def __init__(self, scopes: tuple[str, ...], look_up: Callable[[str], frozenset[str]]) -> None:
        self._scopes = scopes
        self._look_up = look_up

    def allows(self, scope: str) -> frozenset[str]:
        """The allowed categories in `scope`; empty if there are none or the scope is unknown."""
        return self._look_up(scope)

    def by_scope(self) -> dict[str, frozenset[str]]:
        """Every declared scope in which at least one category is allowed."""
        found = {scope: self._look_up(scope) for scope in self._scopes}
        return {scope: categories for scope, categories in found.items() if categories}
