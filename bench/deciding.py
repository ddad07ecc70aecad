"""What a decision costs: ours with and without its cache against plain Casbin, many rules, many tenants.

Deciding waits for nothing, so it is measured in this process's CPU time: a busy machine distorts that least.
"""

import gc
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import cycle, islice, pairwise
from statistics import median
from typing import Any

import casbin
import psutil

from tenure import ids, resources
from tenure.model.configuration import Configuration
from tenure.model.manifests import parse_manifests
from tenure.model.scope_rules import scope_match
from tenure.policy.enforcer import live
from tenure.policy.verdicts import Request
from tenure.tenancy import Policy, policy_of

ROLES, SCOPES, CATEGORIES, PURPOSES = 20, 20, 12, 6
_EACH = 10
"""Rules that a grant of this policy becomes."""
_ROOM = 0.5
"""The share of the free memory that tenants may take."""
_Tree = dict[str, dict[str, dict[str, Any]]]


@dataclass
class Cost:
    """One size. Rates per second of CPU (medians over the rounds), memory in KiB for each tenant."""

    rules: int
    tenants: int
    build_ms: float
    kib: float
    cached: float
    uncached: float
    plain: float | None
    """Stock Casbin over all rules, no cache: measured with one tenant."""


def manifests(rules: int, tenant: int = 0) -> list[dict[str, Any]]:
    """A vocabulary, scopes, roles and grants that make so many rules; a tenth deny, a tenth run out."""
    pick = random.Random(tenant)  # noqa: S311 - the same policy in every run
    categories: _Tree = {f"c{n}": {f"c{n}-{m}": {} for m in range(3)} for n in range(CATEGORIES // 4)}
    purposes: _Tree = {f"p{n}": {f"p{n}-{m}": {} for m in range(2)} for n in range(PURPOSES // 3)}
    scope = {"description": "", "controller": "", "categories": list(categories), "subjects": "optional"}
    made = [_one("Vocabulary", "default", {"categories": categories, "purposes": purposes})]
    made += [_one("Scope", f"s{n // 5}.t{n % 5}", scope) for n in range(SCOPES)]
    made += [_one("Role", f"r{n}", {"description": ""}) for n in range(ROLES)]
    names = sorted({*categories, *(name for below in categories.values() for name in below)})
    reasons = sorted({*purposes, *(name for below in purposes.values() for name in below)})
    for number in range(rules // _EACH):
        spec: dict[str, Any] = {
            "roles": [f"r{number % ROLES}"],
            "scopes": [*pick.sample([f"s{n // 5}.t{n % 5}" for n in range(SCOPES)], 4), f"s{number % 4}.*"],
            "categories": pick.sample(names, 2),
            "purposes": [pick.choice(reasons)],
            "actions": ["*"],
            "effect": "deny" if number % 10 == 9 else "allow",
        }
        if number % 10 == 4:
            spec["notAfter"] = "2100-01-01T00:00:00Z"
        made.append(_one("Grant", f"g{number}", spec))
    return made


def _one(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "tenure/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def policy(rules: int, tenant: int) -> Policy:
    """A tenant's policy, parsed from its own manifests as a process does that meets the tenant."""
    configuration = Configuration.empty().with_manifests(parse_manifests(manifests(rules, tenant)))
    return policy_of(f"{tenant:032x}", configuration)


def questions(tenant: str) -> Iterator[Request]:
    """Without end, hardly one twice: two roles of twenty, a scope, one or two labels, purpose, action."""
    now = ids.moment(ids.now())
    names = [f"c{n}-{m}" for n in range(CATEGORIES // 4) for m in range(3)]
    labels = [*((name,) for name in names), *pairwise(names)]
    pick = random.Random(1)  # noqa: S311 - the same order in every run
    while True:
        a, b = pick.sample(range(ROLES), 2)
        n, purpose = pick.randrange(SCOPES), pick.choice(("p0-0", "p1-1"))
        roles, scope = (f"r{max(a, b)}", f"r{min(a, b)}"), f"s{n // 5}.t{n % 5}"
        yield Request(
            tenant, roles, scope, pick.choice(labels), purpose, pick.choice(("read", "list", "write")), now
        )


def measure(rules: int, tenants: int, *, rounds: int, seconds: float) -> Cost:
    """Build that many tenants (as far as memory goes) and ask them in turn."""
    first = policy(rules, 0)  # what is loaded once is not a tenant's
    first.engine.decide(next(questions(first.engine.tenant)))
    gc.collect()
    process, began, clock = psutil.Process(), psutil.Process().memory_info().rss, time.process_time()
    room = psutil.virtual_memory().available * _ROOM
    kept: list[Policy] = []
    for number in range(1, tenants + 1):
        kept.append(policy(rules, number))
        if process.memory_info().rss - began > room:
            break
    build = (time.process_time() - clock) / len(kept)
    gc.collect()
    kib = (process.memory_info().rss - began) / len(kept) / 1024
    cached, uncached, plain = [], [], []
    for _ in range(rounds):
        fresh = [policy(rules, 0)] if tenants == 1 else kept
        asking = [questions(one.engine.tenant) for one in fresh]
        # Asked once each, so that no answer is known; one tenant after the other.
        uncached.append(_rate(zip(cycle(one.engine.decide for one in fresh), _turns(asking)), seconds))
        warm = [(one.engine.decide, ask) for one in fresh for ask in islice(questions(one.engine.tenant), 20)]
        for decide, ask in warm:
            decide(ask)
        cached.append(_rate(cycle(warm), seconds))
        if tenants == 1:
            alone = _plain(fresh[0])
            plain.append(_rate(((alone, ask) for ask in questions("")), seconds))
    return Cost(
        rules,
        len(kept),
        build * 1e3,
        kib,
        median(cached),
        median(uncached),
        median(plain) if plain else None,
    )


def _turns(asking: list[Iterator[Request]]) -> Iterator[Request]:
    while True:
        yield from (next(one) for one in asking)


def _rate(calls: Any, seconds: float) -> float:  # noqa: ANN401 - pairs of a function and its argument
    """Calls per second of CPU, looked at in handfuls so that the clock does not count."""
    done, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        for function, argument in islice(calls, 50):
            function(argument)
            done += 1
    return done / spent


def _plain(one: Policy) -> Callable[[Request], bool]:
    """Casbin as it comes, over all rules of a tenant: stock role managers, nothing cached."""
    tenant = one.engine.tenant
    enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=resources.policy_model()))
    enforcer.add_function("scopeMatch", scope_match)
    enforcer.add_function("live", live)
    sections = enforcer.get_model().model
    sections["p"]["p"].policy.extend(one.engine.rules)
    for a in range(ROLES):
        for b in range(a):
            sections["g"]["g"].policy.extend([[f"r{a}+r{b}", f"r{each}", tenant] for each in (a, b)])
    for name, tree in (("g2", one.configuration.categories), ("g3", one.configuration.purposes)):
        sections["g"][name].policy.extend([below, above] for below, above in tree.parents.items() if above)
    enforcer.build_role_links()
    enforcer.logger.disabled = True
    now = ids.now()

    def decide(ask: Request) -> bool:
        sub = "+".join(ask.roles)
        return all(
            enforcer.enforce(tenant, sub, ask.scope, category, ask.purpose, ask.action, now)
            for category in ask.categories
        )

    return decide


def run(
    sizes: tuple[int, ...], tenants: tuple[int, ...], rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Every size with every number of tenants."""
    return [
        asdict(measure(rules, many, rounds=rounds, seconds=seconds)) for rules in sizes for many in tenants
    ]
