"""Casbin, built once per engine and never changed afterwards.

The roles of a principal live in the database and come with the request, so `r.sub` is the whole set of
them and `g` asks whether a rule's role is in it. Casbin thus sees all roles at once: a deny for one of
them outweighs an allow for another by the model's own effect, and no state per principal is kept.

Casbin's own role managers are not used: they create a node for every name they are asked about
(unbounded, and not safe between threads) and silently stop after ten levels, which would lose a deny.

Casbin walks over every rule it holds, tens of microseconds each. Before a question it is handed only the
rules that can match: those for one of the roles, the scope and the action. It judges these as ever, and
`tests/integration/test_policy_differential.py` asks a plain Casbin with all rules the same.
"""

import ast
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from threading import Lock
from typing import Any, TypeVar, cast

import casbin
from casbin.persist import Adapter
from casbin.rbac import RoleManager
from casbin.util import SimpleEval
from casbin.util.log import disabled_logging

from tenure.model.names import ANY
from tenure.model.scope_rules import scope_match
from tenure.model.vocabulary import Tree
from tenure.policy.rules import Rule

# One logger of our own, outside logging's tree: casbin logs every denied request with all its
# arguments, and a later logging configuration of the process could switch its named loggers on again.
_SILENT = logging.Logger("casbin-silenced", level=logging.CRITICAL + 1)  # noqa: LOG001

_CONDITIONS = {
    "now": "time",
    "act": "action",
    "pur": "purpose",
    "cat": "category",
    "scope": "scope",
    "sub": "role",
    "ten": "tenant",
}
_OF_RULE = re.compile(r"\bp_(\w+)")
PREDICATES = tuple(_CONDITIONS.values())
"""The names of the model's conditions, the easiest to put right first."""

_NARROWING = {
    "role": "p_sub == '*' or g(r_sub, p_sub, r_ten)",
    "scope": "scopeMatch(r_scope, p_scope)",
    "action": "p_act == '*' or r_act == p_act",
}
"""Conditions by which rules are left out before Casbin is asked, as the matcher writes them."""
CANDIDATES_SIZE = 256

T = TypeVar("T")
_TRIES = 3
_PARSING = Lock()
"""Python counts how deep the syntax tree is that it builds in one place for all threads: of two that parse at
once one may end in a SystemError ("AST constructor recursion depth mismatch")."""

Values = tuple[str, frozenset[str], str, str, str, str, int]
"""A request as Casbin takes it: tenant, roles, scope, category, purpose, action, instant."""


class Enforcer:
    """Casbin over one set of rules. Safe between threads; answers depend on the arguments alone."""

    def __init__(self, model_text: str, rules: Sequence[Rule], categories: Tree, purposes: Tree) -> None:
        disabled_logging()
        model = casbin.Enforcer.new_model(text=model_text)
        self._casbin = casbin.Enforcer(model)
        self._casbin.logger = _SILENT
        self._casbin.set_named_role_manager("g", _RoleSets())
        self._casbin.set_named_role_manager("g2", _TreeLinks())
        self._casbin.set_named_role_manager("g3", _TreeLinks())
        self._casbin.add_function("scopeMatch", scope_match)
        self._casbin.add_function("live", live)
        self._casbin.set_adapter(_Rows(rules, categories, purposes))
        self._casbin.load_policy()
        self._lock = Lock()
        self.rules = tuple(rules)
        self._fields = [token.removeprefix("p_") for token in self._casbin.model["p"]["p"].tokens]
        self._rid = self._fields.index("rid")
        # Casbin parses the matcher again for every question, which costs more than a few rules. Nothing in
        # it changes here: it is parsed once, by Casbin's own parser, with the functions that Casbin gives it.
        functions = dict(self._casbin.fm.get_functions())
        for name, assertion in self._casbin.model["g"].items():
            functions[name] = casbin.util.generate_g_function(assertion.rm)
        get, matcher = self._casbin._get_expression, self._casbin.model["m"]["m"].value  # noqa: SLF001 - see above
        expression = _alone(lambda: get(matcher, functions))
        self._casbin._get_expression = lambda *_: expression  # noqa: SLF001 - see above
        self._functions = functions
        # A bundle may hold another model: what is not a condition there for every rule leaves none out.
        conditions = {ast.unparse(part) for part in self._operands()}
        self._narrowing = {name for name, text in _NARROWING.items() if text in conditions}
        self._by_role: dict[str, list[int]] = {}
        for position, rule in enumerate(self.rules):
            self._by_role.setdefault(rule.role, []).append(position)
        self._candidates = lru_cache(CANDIDATES_SIZE)(self._find_candidates)

    def candidates(self, values: Values) -> tuple[int, ...]:
        """The places in `rules`, ascending, of all that can match `values`, and of few others."""
        _, roles, scope, _, _, action, _ = values
        return self._candidates(roles, scope, action)

    def _find_candidates(self, roles: frozenset[str], scope: str, action: str) -> tuple[int, ...]:
        places: Iterable[int] = range(len(self.rules))
        if "role" in self._narrowing:
            places = sorted(place for role in {*roles, ANY} for place in self._by_role.get(role, ()))
        return tuple(
            place
            for place in places
            if ("action" not in self._narrowing or self.rules[place].action in {ANY, action})
            and ("scope" not in self._narrowing or scope_match(scope, self.rules[place].scope))
        )

    def enforce(self, values: Values) -> tuple[bool, str]:
        """Casbin's answer and the id of the rule that decided it, or "" if none matched.

        The lock is for what Casbin shares between questions: its function table, and the rows it is
        handed. The interpreter lock serialises the rest anyway.
        """
        places = self.candidates(values)
        if not places:
            return False, ""  # Casbin would judge a blank rule where there is none
        with self._lock:
            self._casbin.model["p"]["p"].policy = [self.rules[place] for place in places]
            allowed, row = self._casbin.enforce_ex(*values)
        rule = str(row[self._rid]) if row else ""
        if allowed is not False and not (allowed is True and rule):
            # A disabled enforcer and an empty policy both allow without a rule.
            raise RuntimeError("casbin allowed without a rule")
        return allowed, rule

    def predicates(self, values: Values) -> "Callable[[Rule], list[str]]":
        """A function that gives the names of the model's conditions that a rule fails for `values`.

        The conditions are the operands of the matcher's outer `&&`, evaluated by Casbin's own evaluator
        with its own functions: an empty list means that the rule matches. Each is evaluated once for all
        rules that are alike in the fields that it looks at.
        """
        request = dict(zip(self._casbin.model["r"]["r"].tokens, values, strict=True))
        parts = [
            _Part(name, evaluator, self._lock, [self._fields.index(one) for one in _OF_RULE.findall(text)])
            for name, text, evaluator in self._parts
        ]

        def failed(rule: Rule) -> list[str]:
            return [part.name for part in parts if not part.holds(request, self._fields, rule)]

        return failed

    @cached_property
    def _parts(self) -> list[tuple[str, str, Any]]:
        texts = [(_name_of(part), ast.unparse(part)) for part in self._operands()]
        return _alone(lambda: [(name, text, SimpleEval(text, self._functions)) for name, text in texts])

    def _operands(self) -> list[ast.expr]:
        text = self._casbin.model["m"]["m"].value
        text = text.replace("&&", "and").replace("||", "or")
        tree = _alone(lambda: ast.parse(text, mode="eval")).body
        if not isinstance(tree, ast.BoolOp) or not isinstance(tree.op, ast.And):
            raise TypeError("the matcher is not a conjunction")
        return tree.values


def _alone(parse: Callable[[], T]) -> T:
    """Parse while nobody else here does. Whoever formats a traceback parses too: then once more."""
    with _PARSING:
        for _ in range(_TRIES):
            try:
                return parse()
            except SystemError:
                continue
        return parse()


def live(now: int, not_before: int | None, not_after: int | None) -> bool:
    """True in [not_before, not_after); None is no limit. All in microseconds, as in `ids`."""
    return (not_before is None or not_before <= now) and (not_after is None or now < not_after)


def boundaries(rules: Iterable[Rule]) -> list[int]:
    """The instants at which some rule begins or ends, ascending, once each."""
    found = {at for rule in rules for at in (rule.not_before, rule.not_after) if at is not None}
    return sorted(found)


def _name_of(part: ast.expr) -> str:
    found = re.findall(r"\br_(\w+)", ast.unparse(part))
    return _CONDITIONS[found[0]]


class _Part:
    """One condition for one request, with its answers so far by the rules' fields that it looks at."""

    __slots__ = ("_answers", "_evaluator", "_lock", "_places", "name")

    def __init__(self, name: str, evaluator: SimpleEval, lock: Lock, places: list[int]) -> None:
        """`lock`: an evaluator holds the names that it works on."""
        self.name = name
        self._evaluator = evaluator
        self._lock = lock
        self._places = places
        self._answers: dict[tuple[object, ...], bool] = {}

    def holds(self, request: dict[str, object], fields: list[str], rule: Rule) -> bool:
        """Whether it holds for a rule."""
        seen = tuple(rule[place] for place in self._places)
        if seen not in self._answers:
            named = {f"p_{key}": value for key, value in zip(fields, rule, strict=True)}
            with self._lock:
                self._answers[seen] = bool(self._evaluator.eval({**request, **named}))
        return self._answers[seen]


class _Rows(Adapter):  # type: ignore[misc]  # casbin has no types
    """Hands Casbin the rules, uninterpreted: its own CSV reader splits at commas and brackets."""

    def __init__(self, rules: Sequence[Rule], categories: Tree, purposes: Tree) -> None:
        self._rules, self._categories, self._purposes = rules, categories, purposes

    def load_policy(self, model: Any) -> None:  # noqa: ANN401
        sections = model.model
        sections["p"]["p"].policy.extend(self._rules)
        for name, tree in (("g2", self._categories), ("g3", self._purposes)):
            sections["g"][name].policy.extend(
                [below, above] for below, above in tree.parents.items() if above
            )


class _RoleSets(RoleManager):  # type: ignore[misc]
    """`g`: is the rule's role one of the request's roles? Holds nothing."""

    def clear(self) -> None:
        pass

    def has_link(self, name1: object, name2: str, *_domain: str) -> bool:
        return name2 in cast("frozenset[str]", name1)

    def print_roles(self) -> None:
        pass


class _TreeLinks(RoleManager):  # type: ignore[misc]
    """`g2`, `g3`: does a name equal another or stand below it? Filled once, then only read."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def clear(self) -> None:
        self._above = {}

    def add_link(self, name1: str, name2: str, *_domain: str) -> None:
        self._above[name1] = name2

    def has_link(self, name1: str, name2: str, *_domain: str) -> bool:
        step: str | None = name1
        while step is not None:
            if step == name2:
                return True
            step = self._above.get(step)
        return False

    def print_roles(self) -> None:
        pass
