"""An explanation in words: what each rule is, and why the nearest one does not fit.

For who runs the platform, never for the denied caller: it names roles, scopes and grants.
"""

from typing import Any

from tenure.ids import parse_rfc3339, rfc3339
from tenure.policy.engine import Engine
from tenure.policy.explain import CategoryExplanation, Explanation
from tenure.policy.rules import Rule
from tenure.policy.verdicts import Reason, Request

_GRANT, _ANY = "grant/", "*"

_BEFORE_RULES = {
    Reason.WRONG_TENANT: "The question is about another tenant than these rules.",
    Reason.UNKNOWN_SCOPE: "Scope `{scope}` is not declared: no rule can allow it.",
    Reason.UNKNOWN_CATEGORY: "A category of {categories} is not in the vocabulary: no rule can allow it.",
    Reason.UNKNOWN_PURPOSE: "Purpose `{purpose}` is not in the vocabulary: no rule can allow it.",
    Reason.UNKNOWN_ACTION: "Action `{action}` does not exist in scope `{scope}`.",
    Reason.EMPTY_FIELD: "A field of the question is empty. Who has no role may do nothing.",
    Reason.MALFORMED: "A field of the question is not of its form.",
    Reason.BEYOND: "The credential reaches less than its principal: it was not made for this.",
    Reason.NO_POLICY: "There is no rule at all.",
    Reason.FAILURE: "The rules could not be evaluated, so it is denied.",
}


def words(engine: Engine, request: Request, told: Explanation) -> list[str]:
    """Sentences that say why `explain(engine, request)` came out as it did."""
    if told.reason in _BEFORE_RULES:
        categories = _listed(request.categories)
        return [
            _BEFORE_RULES[told.reason].format(
                scope=request.scope, purpose=request.purpose, action=request.action, categories=categories
            )
        ]
    known = {rule.name: rule for rule in engine.rules}
    return [sentence for one in told.categories for sentence in _of_category(known, request, one)]


def rules_named(engine: Engine, told: Explanation) -> dict[str, dict[str, Any]]:
    """Rule id → the rule and, of a grant, where it stands in which manifest.

    `{"effect","role","scope","category","purpose","action","not_before","not_after"}` (instants in RFC 3339
    or None), with `grant`, `row`, `rows` and `description` for a grant's row, `builtin` for a built-in rule.
    """
    named = {rule for one in told.categories for rule in (*one.allows, *one.denies)}
    named |= {one.nearest.rule for one in told.categories if one.nearest}
    return {rule.name: _resolved(engine, rule) for rule in engine.rules if rule.name in named}


def sentence_of(rule: Rule) -> str:
    """A rule as one sentence without its name."""
    limits = ""
    if rule.not_before is not None:
        limits += f" from {rfc3339(rule.not_before)}"
    if rule.not_after is not None:
        limits += f" until just before {rfc3339(rule.not_after)}"
    who = "every role" if rule.role == _ANY else f"role {rule.role}"
    verb = "must not" if rule.effect == "deny" else "may"
    return (
        f"{who} {verb} {_every(rule.action, 'action')} {_every(rule.category, 'category')} in {rule.scope}"
        f" for {_every(rule.purpose, 'purpose')}{limits}"
    )


def _of_category(known: dict[str, Rule], request: Request, told: CategoryExplanation) -> list[str]:
    about = f"Category `{told.category}`"
    if told.denies:
        said = [f"{about}: denied by {name}: {sentence_of(known[name])}." for name in told.denies]
        if told.allows:
            said.append(f"{about}: {_names(told.allows)} would allow it, but one deny outweighs every allow.")
        return said
    if told.allows:
        return [f"{about}: allowed by {name}: {sentence_of(known[name])}." for name in told.allows]
    if told.nearest is None:
        return [f"{about}: no rule allows it, and there is none that comes near."]
    rule = known[told.nearest.rule]
    return [
        f"{about}: no rule allows it. The nearest is {rule.name}: {sentence_of(rule)}.",
        *(f"{rule.name} does not fit: {_misfit(name, rule, request, told)}." for name in told.nearest.failed),
    ]


def _misfit(predicate: str, rule: Rule, request: Request, told: CategoryExplanation) -> str:
    """Why a condition of the model does not hold."""
    found = {
        "time": f"it does not hold at {rfc3339(parse_rfc3339(request.now.isoformat()))}",
        "action": f"it is for action {rule.action}, and the question is about {request.action}",
        "purpose": f"it is for purpose {rule.purpose} and what is below it, and {request.purpose} is not",
        "category": f"it is for category {rule.category} and what is below it, and {told.category} is not",
        "scope": f"its scopes are {rule.scope}, and {request.scope} is not one of them",
        "role": f"it is for role {rule.role}, and the roles are {_listed(request.roles)}",
        "tenant": "it holds in the cell only",
    }
    return found[predicate]


def _resolved(engine: Engine, rule: Rule) -> dict[str, Any]:
    found: dict[str, Any] = {
        "effect": rule.effect,
        "role": rule.role,
        "scope": rule.scope,
        "category": rule.category,
        "purpose": rule.purpose,
        "action": rule.action,
        "not_before": None if rule.not_before is None else rfc3339(rule.not_before),
        "not_after": None if rule.not_after is None else rfc3339(rule.not_after),
    }
    if not rule.name.startswith(_GRANT):
        return found | {"builtin": rule.name.partition("/")[2]}
    grant, _, row = rule.name.removeprefix(_GRANT).partition("#")
    spec = engine.configuration.grants[grant]
    rows = len(spec.roles) * len(spec.scopes) * len(spec.categories) * len(spec.purposes) * len(spec.actions)
    return found | {"grant": grant, "row": int(row), "rows": rows, "description": spec.description}


def _every(name: str, what: str) -> str:
    return f"every {what}" if name == _ANY else name


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"


def _names(names: tuple[str, ...]) -> str:
    return " and ".join(names)
