"""What a caller may do: its roles, within the reach of its credential, and no more than whom it acts for.

The one way from a principal to a verdict. The engine knows roles alone; here its answers (cached as they
are) are narrowed before anybody sees them: by the reach first, then the caller's roles, then those of the
principal on whose behalf it acts. Nothing here ever adds to what the caller's own roles allow.
"""

from collections.abc import Iterator
from datetime import datetime

from tenure.ids import CELL
from tenure.model import names
from tenure.model.principal import Principal
from tenure.policy.engine import Engine
from tenure.policy.verdicts import Reason, Request, Verdict

_BEYOND = Verdict(allowed=False, rules=(), reason=Reason.BEYOND)


def decide(
    engine: Engine,
    principal: Principal,
    scope: str,
    categories: tuple[str, ...],
    purpose: str,
    action: str,
    now: datetime,
) -> Verdict:
    """May `principal` do `action` there? The rules of everybody who had to be allowed are in the answer."""
    verdict: Verdict | None = None
    for one in _asked(principal):
        if not _is_within(engine, one, scope, purpose, action):
            return _BEYOND
        found = engine.decide(Request(one.tenant_id, one.roles, scope, categories, purpose, action, now))
        if not found.allowed:
            return found
        verdict = found if verdict is None else _both(verdict, found)
    return verdict or _BEYOND


def decide_service(engine: Engine, principal: Principal, scope: str, action: str) -> Verdict:
    """May `principal` do `action` on the reserved `scope`?"""
    verdict: Verdict | None = None
    for one in _asked(principal):
        if not _is_within(engine, one, scope, names.SERVICE_PURPOSE, action):
            return _BEYOND
        found = engine.decide_service(one.roles, scope, action)
        if not found.allowed:
            return found
        verdict = found if verdict is None else _both(verdict, found)
    return verdict or _BEYOND


def who_may(engine: Engine, scope: str, action: str, reason: Reason) -> str:
    """Advice to whoever was denied `action` on the reserved `scope`: which built-in roles may.

    Their table comes with the service and is everybody's: nothing of a tenant's is told by it.
    """
    if reason is Reason.BEYOND:
        return "The credential is narrower than this: use one that reaches as far."
    rules = [rule for rule in engine.rules if (rule.scope, rule.action) == (scope, action)]
    here = sorted({rule.role for rule in rules if rule.tenant == engine.tenant})
    there = sorted({rule.role for rule in rules if rule.tenant == CELL})
    if here:
        return f"Ask for the built-in role {' or '.join(here)}."
    if there:
        return f"Only the built-in role {' or '.join(there)} in the cell itself may; no role of a tenant."
    return "No built-in role allows this."


def allowed_categories(
    engine: Engine, principal: Principal, scope: str, purpose: str, action: str, now: datetime
) -> frozenset[str]:
    """The categories of `scope` that `decide` would allow one by one."""
    sets = [
        engine.allowed_categories(one.roles, scope, purpose, action, now)
        if _is_within(engine, one, scope, purpose, action)
        else frozenset[str]()
        for one in _asked(principal)
    ]
    return frozenset.intersection(*sets)


def allows_any(
    engine: Engine, principal: Principal, scope: str, purpose: str, action: str, now: datetime
) -> bool:
    """Whether `allowed_categories` has any. For who acts for nobody it stops at the first."""
    if principal.behalf is not None:
        return bool(allowed_categories(engine, principal, scope, purpose, action, now))
    return _is_within(engine, principal, scope, purpose, action) and engine.allows_any(
        principal.roles, scope, purpose, action, now
    )


def _asked(principal: Principal) -> Iterator[Principal]:
    yield principal
    if principal.behalf is not None:
        yield principal.behalf


def _is_within(engine: Engine, one: Principal, scope: str, purpose: str, action: str) -> bool:
    reach = one.reach
    return reach is None or reach.permits(scope, purpose, action, engine.configuration.purposes)


def _both(one: Verdict, other: Verdict) -> Verdict:
    ends = [at for at in (one.expires, other.expires) if at is not None]
    rules = tuple(dict.fromkeys((*one.rules, *other.rules)))
    return Verdict(allowed=True, rules=rules, reason=Reason.ALLOWED, expires=min(ends, default=None))
