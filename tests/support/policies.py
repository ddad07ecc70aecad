"""Random policies and questions, and two other opinions on them: the rules of use written down naively, and
Casbin alone with everything stock that can express them. Nothing here shares code with the engine.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import casbin
from casbin.persist.adapters import StringAdapter

MODEL = (Path(__file__).parents[2] / "policies" / "model.conf").read_text("utf-8")
ROLES = ("r1", "r2", "r3", "dpo")
ACTIONS = ("read", "write", "list", "delete")
TIMES = (0, 10, 20, 30)
_SHAPES = ("{0}", "{0}.t", "{0}.t.u", "{0}.t.u.v", "{0}.w", "{0}t", "{0}-t.w")


@dataclass(frozen=True)
class World:
    """A vocabulary, scopes, and the label sets that records in each scope have. Names are the world's own."""

    categories: dict[str, str]
    """Name → the one above it, "" for a root; likewise `purposes`."""
    purposes: dict[str, str]
    scopes: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]

    @property
    def patterns(self) -> tuple[str, ...]:
        """Scope patterns that say something here."""
        return (*self.scopes, "**", *(f"{scope}{end}" for scope in self.scopes[:4] for end in (".*", ".**")))

    def manifests(self) -> list[dict[str, Any]]:
        """Everything but the grants."""
        scope = {"description": "", "controller": "", "subjects": "optional"}
        scope["categories"] = [name for name, above in self.categories.items() if not above]  # type: ignore[assignment]
        vocabulary = {"categories": _nested(self.categories), "purposes": _nested(self.purposes)}
        return [
            manifest("Vocabulary", "default", vocabulary),
            *(manifest("Scope", name, scope) for name in self.scopes),
            *(manifest("Role", name, {"description": ""}) for name in ROLES if name != "dpo"),
        ]


class Question(NamedTuple):
    """As a request, with the instant in microseconds."""

    roles: tuple[str, ...]
    scope: str
    categories: tuple[str, ...]
    purpose: str
    action: str
    now: int


Specs = list[dict[str, Any]]


def manifest(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """One manifest as parsed JSON."""
    return {"apiVersion": "tenure/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def grants(specs: Specs) -> list[dict[str, Any]]:
    """The manifests of some grants, named g0, g1 …"""
    return [manifest("Grant", f"g{number}", spec) for number, spec in enumerate(specs)]


def instant(micros: int) -> str:
    """RFC 3339 of a few microseconds after 1970."""
    return f"1970-01-01T00:00:00.{micros:06}Z"


# ── making them up ────────────────────────────────────────────────────────────────────────────────
def a_world(pick: random.Random, letter: str) -> World:
    """A tree of categories nine deep at one place, some purposes, scopes that look alike."""
    categories = {f"{letter}{n}": f"{letter}{n - 1}" if n else "" for n in range(9)}
    for n in range(9, 15):
        categories[f"{letter}{n}"] = pick.choice(["", *categories])
    purposes = {f"p{n}": "" if n < 2 else f"p{pick.randrange(n)}" for n in range(7)}
    names = list(categories)
    labels = {tuple(sorted(pick.sample(names, pick.choice((1, 1, 1, 2, 3))))) for _ in range(14)}
    return World(
        categories, purposes, tuple(shape.format(letter) for shape in _SHAPES), tuple(sorted(labels))
    )


def some_grants(pick: random.Random, world: World) -> Specs:
    """From none to a dozen grants, a third of them denying, some with a time limit."""
    return [_grant(pick, world) for _ in range(pick.choice((0, 1, 2, 4, 6, 9, 12)))]


def _grant(pick: random.Random, world: World) -> dict[str, Any]:
    deny = pick.random() < 0.3
    spec = {
        "roles": ["*"] if deny and pick.random() < 0.4 else pick.sample(ROLES, pick.choice((1, 2, 3))),
        "scopes": ["**"] if not deny and pick.random() < 0.4 else pick.sample(world.patterns, 2),
        "categories": _names(pick, list(world.categories), deny=deny),
        "purposes": _names(pick, list(world.purposes), deny=deny),
        "actions": ["*"] if pick.random() < 0.5 else pick.sample(ACTIONS, pick.choice((1, 2))),
        "effect": "deny" if deny else "allow",
    }
    begins, ends = sorted(pick.sample(TIMES, 2))
    if pick.random() < 0.25:
        spec["notBefore"] = instant(begins)
    if pick.random() < 0.25:
        spec["notAfter"] = instant(ends)
    return spec


def _names(pick: random.Random, names: list[str], *, deny: bool) -> list[str]:
    if pick.random() < (0.1 if deny else 0.5):
        return ["*"]
    # Allows name what is high up, so that something is allowed; denies name anything.
    return pick.sample(names if deny else names[: len(names) // 3], pick.choice((1, 1, 2)))


def askers(pick: random.Random, world: World, many: int) -> Iterator[tuple[tuple[str, ...], str, int]]:
    """Roles, purpose, instant."""
    for _ in range(many):
        roles = tuple(pick.sample((*ROLES, "gone"), pick.choice((1, 1, 2, 3))))
        yield roles, pick.choice(list(world.purposes)), pick.choice((-5, 0, 5, 10, 15, 20, 25, 30, 35))


ODD = ("", " ", "*", "**", "a.**", "unheard-of", "tenure", "tenure.ledger", "\u0430", "a\u200b", "\uff41")


def odd(pick: random.Random, question: Question) -> Question:
    """A question with one field that is not what it should be."""
    value = pick.choice(ODD)
    field = pick.choice(("roles", "scope", "categories", "purpose", "action"))
    if field == "roles":
        return question._replace(roles=(*question.roles, "") if pick.random() < 0.5 else ())
    if field == "categories":
        return question._replace(categories=(*question.categories, value))
    return question._replace(**{field: value})


# ── the rules of use, naively ─────────────────────────────────────────────────────────────────────
def naive(world: World, specs: Specs, asked: Question) -> bool:
    """Deny by default; a deny outweighs every allow; every category of a record must be allowed."""
    if not (asked.roles and all(asked.roles) and asked.categories):
        return False
    if asked.scope not in world.scopes or asked.action not in ACTIONS or asked.purpose not in world.purposes:
        return False
    if not set(asked.categories) <= set(world.categories):
        return False
    for category in asked.categories:
        effects = {spec["effect"] for spec in specs if _speaks(world, spec, asked, category)}
        if effects != {"allow"}:
            return False
    return True


def _speaks(world: World, spec: dict[str, Any], asked: Question, category: str) -> bool:
    deny = spec["effect"] == "deny"
    return (
        bool({"*", *asked.roles} & set(spec["roles"]))
        and any(reaches(pattern, asked.scope) for pattern in spec["scopes"])
        and bool({"*", asked.action} & set(spec["actions"]))
        and _covers(world.categories, spec["categories"], category, deny=deny)
        and _covers(world.purposes, spec["purposes"], asked.purpose, deny=deny)
        and ("notBefore" not in spec or (asked.now >= 0 and spec["notBefore"] <= instant(asked.now)))
        and ("notAfter" not in spec or asked.now < 0 or instant(asked.now) < spec["notAfter"])
    )


def _covers(tree: dict[str, str], named: list[str], name: str, *, deny: bool) -> bool:
    """A name covers all below it; a denied one concerns who asks for what is above it, too."""
    return any(
        one == "*" or one in lineage(tree, name) or (deny and name in lineage(tree, one)) for one in named
    )


def lineage(tree: dict[str, str], name: str) -> list[str]:
    """A name and all above it."""
    return [name, *lineage(tree, tree[name])] if name in tree else []


def reaches(pattern: str, scope: str) -> bool:
    """`a.*` one level below, `a.**` any depth below, `**` everything."""
    if pattern == "**":
        return True
    form = re.escape(pattern).replace(r"\.\*\*", r"(\.[^.]+)+").replace(r"\.\*", r"\.[^.]+")
    return re.fullmatch(form, scope) is not None


# ── Casbin alone ──────────────────────────────────────────────────────────────────────────────────
TENANT = "0198c0de-0000-7000-8000-000000000001"


class Plain:
    """A stock enforcer over the shipped model: its own CSV adapter, its own role managers, no cache.

    The asker is a name with roles in a tenant; both trees are `g2` and `g3` rows. What it cannot express,
    that every name must be declared, is checked here as `naive` does.
    """

    def __init__(self, world: World, specs: Specs) -> None:
        self.world = world
        self._rules = "\n".join(_rows(world, specs))

    def enforcer(self, roles: tuple[str, ...]) -> Any:
        """A fresh one, for somebody with these roles."""
        links = [f"g, somebody, {role}, {TENANT}" for role in roles]
        made = casbin.Enforcer(
            casbin.Enforcer.new_model(text=MODEL), StringAdapter("\n".join([self._rules, *links]))
        )
        made.add_function("scopeMatch", lambda scope, pattern: reaches(pattern, scope))
        made.add_function("live", _live)
        return made

    def allows(self, enforcer: Any, asked: Question) -> bool:
        """Every category, one by one."""
        world = self.world
        if asked.scope not in world.scopes or asked.action not in ACTIONS or "" in asked.roles:
            return False
        if asked.purpose not in world.purposes or not set(asked.categories) <= set(world.categories):
            return False
        return bool(asked.categories) and all(
            enforcer.enforce(
                TENANT, "somebody", asked.scope, category, asked.purpose, asked.action, asked.now
            )
            for category in asked.categories
        )


def _live(now: int, begins: str, ends: str) -> bool:
    return (not begins or int(begins) <= now) and (not ends or now < int(ends))


def _rows(world: World, specs: Specs) -> Iterator[str]:
    # A rule that is for nobody: where there is none, Casbin judges a blank one.
    yield f"p, {TENANT}, nobody, none, none, none, none, allow, none, , "
    for number, spec in enumerate(specs):
        times = [str(int(spec[name][20:26])) if name in spec else "" for name in ("notBefore", "notAfter")]
        lists = (spec[name] for name in ("roles", "scopes", "categories", "purposes", "actions"))
        for role, scope, category, purpose, action in product(*lists):
            fields = (TENANT, role, scope, category, purpose, action, spec["effect"], f"g{number}", *times)
            yield "p, " + ", ".join(fields)
    for name, tree in (("g2", world.categories), ("g3", world.purposes)):
        yield from (f"{name}, {below}, {above}" for below, above in tree.items() if above)


def _nested(tree: dict[str, str]) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {"": {}}
    for name in tree:
        found[name] = {}
    for name, above in tree.items():
        found[above][name] = found[name]
    return found[""]
