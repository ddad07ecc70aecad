"""Why a decision came out as it did: every rule that spoke, and what would have had to differ.

The conditions of the same model are evaluated one by one with Casbin's own evaluator, so an explanation
cannot say anything else than `decide`; a property test holds them together.
"""

from dataclasses import dataclass
from typing import Any

from tenure.policy.enforcer import PREDICATES
from tenure.policy.engine import Engine
from tenure.policy.verdicts import Reason, Request

_FAILED_BEFORE_RULES = {
    Reason.WRONG_TENANT: ("tenant",),
    Reason.UNKNOWN_SCOPE: ("scope",),
    Reason.UNKNOWN_CATEGORY: ("category",),
    Reason.UNKNOWN_PURPOSE: ("purpose",),
    Reason.UNKNOWN_ACTION: ("action",),
}


@dataclass(frozen=True, slots=True)
class Nearest:
    """The allowing rule that fails the fewest conditions, and which ones it fails."""

    rule: str
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CategoryExplanation:
    """What the rules say about one category. `nearest` only if no rule matched."""

    category: str
    allowed: bool
    allows: tuple[str, ...]
    denies: tuple[str, ...]
    nearest: Nearest | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole answer.

    `failed` names the request's fields that no rule can help (an unknown scope, another tenant);
    `categories` is then empty.
    """

    allowed: bool
    reason: Reason
    failed: tuple[str, ...]
    categories: tuple[CategoryExplanation, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values, for the wire."""
        return {
            "allowed": self.allowed,
            "reason": self.reason.value,
            "failed": list(self.failed),
            "categories": [
                {
                    "category": each.category,
                    "allowed": each.allowed,
                    "allows": list(each.allows),
                    "denies": list(each.denies),
                    "nearest": each.nearest
                    and {"rule": each.nearest.rule, "failed": list(each.nearest.failed)},
                }
                for each in self.categories
            ],
        }


def explain(engine: Engine, request: Request) -> Explanation:
    """Explain what `engine.decide(request)` answers, malformed requests included."""
    verdict = engine.decide(request)
    if verdict.reason not in {Reason.ALLOWED, Reason.DENY_RULE, Reason.NO_RULE}:
        failed = _FAILED_BEFORE_RULES.get(verdict.reason, ())
        return Explanation(allowed=False, reason=verdict.reason, failed=failed, categories=())
    parts = tuple(_category(engine, request, category) for category in dict.fromkeys(request.categories))
    return Explanation(allowed=verdict.allowed, reason=verdict.reason, failed=(), categories=parts)


def _category(engine: Engine, request: Request, category: str) -> CategoryExplanation:
    failed = engine.enforcer.predicates(engine.values(request, category))
    allows: list[str] = []
    denies: list[str] = []
    nearest: Nearest | None = None
    for rule in engine.rules:
        misses = tuple(sorted(failed(rule), key=PREDICATES.index))
        if not misses:
            (denies if rule.effect == "deny" else allows).append(rule.name)
        elif rule.effect == "allow" and (nearest is None or _farther(nearest.failed, misses)):
            nearest = Nearest(rule.name, misses)
    return CategoryExplanation(
        category,
        allowed=bool(allows) and not denies,
        allows=tuple(allows),
        denies=tuple(denies),
        nearest=None if allows or denies else nearest,
    )


def _farther(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """True if `one` is farther from matching than `other`.

    More conditions failed, or, with as many, a more basic one: a grant that has only run out is nearer
    than one for another role.
    """
    return (len(one), [PREDICATES.index(name) for name in one]) > (
        len(other),
        [PREDICATES.index(name) for name in other],
    )
