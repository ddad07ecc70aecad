"""The `spec` of a Recipient manifest: who outside was given personal data, and is told of its fate (Art. 19).

Nothing in it is a secret: notices are signed with the tenant's own ledger key, whose public half is enough to
check them.
"""

from collections.abc import Iterable

from pydantic import Field

from tenure.model.names import ANY
from tenure.model.scope_rules import scope_match
from tenure.model.specs import NamesOrAny, Patterns, Spec, Text, Webhook
from tenure.model.vocabulary import Tree


class RecipientSpec(Spec):
    """Somebody whom data of some scopes and categories is disclosed to, and where notices go."""

    description: Text = Field(description="Who it is, and what for: the register of processing shows it.")
    webhook: Webhook = Field(description="Where notices go (Standard Webhooks); http for localhost only.")
    scopes: Patterns = Field(description="Scopes or patterns of them whose data it is given.")
    categories: NamesOrAny = Field(
        default=(ANY,), description='Categories that it is given, each with what is below it, or "*".'
    )

    def receives(self, scopes: Iterable[str], categories: Iterable[str], tree: Tree) -> bool:
        """Whether data of any of these categories in any of these scopes is given to it."""
        given = frozenset(self.categories)
        return any(scope_match(scope, one) for scope in scopes for one in self.scopes) and (
            ANY in given or any(tree.within_any(category, given) for category in categories)
        )
