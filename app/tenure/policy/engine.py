"""The engine: one tenant's rules at one policy epoch. Immutable, safe between threads, never raises.

Answers are cached by (time period, roles, scope, categories, purpose, action). A period is the time
between two neighbouring not-before/not-after instants of the rules: within one, no rule begins or ends,
so an answer holds for the whole of it, and a question about another time is another entry.
"""

from bisect import bisect_right
from datetime import UTC, datetime
from functools import lru_cache

from tenure.ids import moment
from tenure.model import names
from tenure.model.configuration import Configuration
from tenure.model.vocabulary import Tree
from tenure.policy import rules
from tenure.policy.enforcer import Enforcer, Values, boundaries
from tenure.policy.readable import Readable
from tenure.policy.verdicts import Reason, Request, Verdict

CACHE_SIZE = 8_192
READABLE_CACHE_SIZE = 1_024
"""Answers that one engine keeps. `tenancy.MAX_TENANCIES` bounds how many engines there are."""

_SERVICE_TREES = (Tree({names.SERVICE_CATEGORY: ""}), Tree({names.SERVICE_PURPOSE: ""}))
_FAILED = Verdict(allowed=False, rules=(), reason=Reason.FAILURE)
_MALFORMED = Verdict(allowed=False, rules=(), reason=Reason.MALFORMED)
_WRONG_TENANT = Verdict(allowed=False, rules=(), reason=Reason.WRONG_TENANT)
_NO_TENANT = Verdict(allowed=False, rules=(), reason=Reason.EMPTY_FIELD)
_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
_BEFORE_ALL = -1
"""Both are before every time limit: manifests take no instant before 1970."""


class Engine:
    """Decides for one tenant.

    `model_text` and `builtin_rules_text` are the contents of `policies/model.conf` and
    `policies/builtin.csv`. Raises `Invalid` if the built-in rules are not well-formed; a configuration
    is valid by construction.
    """

    def __init__(
        self, configuration: Configuration, *, tenant: str, model_text: str, builtin_rules_text: str
    ) -> None:
        if not tenant:
            raise ValueError("an engine needs a tenant")
        self.tenant = tenant
        self.configuration = configuration
        builtin = tuple(rules.builtin_rules(builtin_rules_text, tenant))
        self.rules = (*builtin, *rules.grant_rules(configuration, tenant))
        self.service_scopes = frozenset(rule.scope for rule in builtin)
        self.enforcer = Enforcer(model_text, self.rules, configuration.categories, configuration.purposes)
        self._instants = boundaries(self.rules)
        self._boundaries = [moment(at) for at in self._instants]
        self._timed = frozenset(place for place, rule in enumerate(self.rules) if boundaries([rule]))
        # lru_cache is C code under the interpreter lock: bounded, and safe to share between threads.
        self._verdict = lru_cache(CACHE_SIZE)(self._evaluate)
        self._allowed_categories = lru_cache(READABLE_CACHE_SIZE)(self._evaluate_scope)
        self._allows_any = lru_cache(READABLE_CACHE_SIZE)(self._evaluate_any)

    def decide(self, request: Request) -> Verdict:
        """Answer one question. Fails closed: whatever goes wrong is a denial with its reason."""
        try:
            tenant, roles, scope, categories, purpose, action, now = request
            if tenant != self.tenant:
                return _WRONG_TENANT if tenant else _NO_TENANT
            if now.tzinfo is None:
                return _MALFORMED
            return self._verdict(
                bisect_right(self._boundaries, now), roles, scope, categories, purpose, action
            )
        except Exception:  # noqa: BLE001  # fail closed (04-policy, rules of use); not cached, so not sticky
            return _FAILED

    def decide_service(
        self, roles: tuple[str, ...], scope: str, action: str, now: datetime = _BEGINNING
    ) -> Verdict:
        """May these roles do `action` on the reserved `scope`? Built-in rules have no time limits."""
        category = (names.SERVICE_CATEGORY,)
        return self.decide(Request(self.tenant, roles, scope, category, names.SERVICE_PURPOSE, action, now))

    def readable(
        self, roles: tuple[str, ...], purpose: str, action: str = "list", *, now: datetime
    ) -> Readable:
        """Which categories of which declared scopes these roles may `action` for `purpose` at `now`."""

        def look_up(scope: str) -> frozenset[str]:
            return self.allowed_categories(roles, scope, purpose, action, now)

        return Readable(tuple(self.configuration.scopes), look_up)

    def allowed_categories(
        self, roles: tuple[str, ...], scope: str, purpose: str, action: str, now: datetime
    ) -> frozenset[str]:
        """The categories that `decide` would allow one by one in `scope`; empty if anything is unknown.

        A record is allowed exactly if all its categories are among them.
        """
        try:
            if now.tzinfo is None:
                return frozenset()
            period = bisect_right(self._boundaries, now)
            return self._allowed_categories(period, roles, scope, purpose, action)
        except Exception:  # noqa: BLE001  # as in decide
            return frozenset()

    def allows_any(
        self, roles: tuple[str, ...], scope: str, purpose: str, action: str, now: datetime
    ) -> bool:
        """Whether `allowed_categories` has any. It stops at the first: far less work in a large tree."""
        try:
            period = bisect_right(self._boundaries, now)
            return now.tzinfo is not None and self._allows_any(period, roles, scope, purpose, action)
        except Exception:  # noqa: BLE001  # as in decide
            return False

    def values(self, request: Request, category: str) -> Values:
        """The request about one of its categories, as Casbin takes it."""
        # The first instant of its period stands for all of it.
        period = bisect_right(self._boundaries, request.now)
        now = self._instants[period - 1] if period else _BEFORE_ALL
        tenant, roles, scope, _, purpose, action, _ = request
        return tenant, frozenset(roles), scope, category, purpose, action, now

    def _unfit(
        self, roles: tuple[str, ...], scope: str, categories: tuple[str, ...], purpose: str, action: str
    ) -> Reason | None:
        fields = (*roles, scope, *categories, purpose, action)
        if not (type(roles) is type(categories) is tuple and all(type(part) is str for part in fields)):
            return Reason.MALFORMED
        known_categories, known_purposes, known_actions = self._known(scope)
        checks = (
            (Reason.EMPTY_FIELD, roles and categories and all(fields)),
            (Reason.NO_POLICY, self.rules),
            (Reason.UNKNOWN_SCOPE, scope in self.service_scopes or scope in self.configuration.scopes),
            (Reason.UNKNOWN_CATEGORY, all(category in known_categories for category in categories)),
            (Reason.UNKNOWN_PURPOSE, purpose in known_purposes),
            (Reason.UNKNOWN_ACTION, action in known_actions),
        )
        return next((reason for reason, holds in checks if not holds), None)

    def _known(self, scope: str) -> tuple[Tree, Tree, tuple[str, ...]]:
        if names.is_reserved_scope(scope):
            return (*_SERVICE_TREES, names.SERVICE_ACTIONS)
        return self.configuration.categories, self.configuration.purposes, names.CONTENT_ACTIONS

    def _evaluate(
        self,
        period: int,
        roles: tuple[str, ...],
        scope: str,
        categories: tuple[str, ...],
        purpose: str,
        action: str,
    ) -> Verdict:
        reason = self._unfit(roles, scope, categories, purpose, action)
        if reason is not None:
            return Verdict(allowed=False, rules=(), reason=reason)
        now = self._boundaries[period - 1] if period else _BEGINNING
        request = Request(self.tenant, roles, scope, categories, purpose, action, now)
        allows: dict[str, None] = {}
        denies: dict[str, None] = {}
        silent = False
        for category in dict.fromkeys(categories):
            allowed, rule = self.enforcer.enforce(self.values(request, category))
            if allowed:
                allows[rule] = None
            elif rule:
                denies[rule] = None
            else:
                silent = True
        expires = self._expiry(request)
        if denies:
            return Verdict(allowed=False, rules=tuple(denies), reason=Reason.DENY_RULE, expires=expires)
        if silent:
            return Verdict(allowed=False, rules=(), reason=Reason.NO_RULE, expires=expires)
        return Verdict(allowed=True, rules=tuple(allows), reason=Reason.ALLOWED, expires=expires)

    def _expiry(self, request: Request) -> datetime | None:
        """The next instant at which a rule that fits but for the time begins or ends."""
        if not self._timed:
            return None
        ahead: list[datetime] = []
        for category in request.categories:
            values = self.values(request, category)
            timed = [self.rules[place] for place in self.enforcer.candidates(values) if place in self._timed]
            failed = self.enforcer.predicates(values) if timed else None
            fitting = [rule for rule in timed if failed is not None and set(failed(rule)) <= {"time"}]
            ahead += [at for at in map(moment, boundaries(fitting)) if at > request.now]
        return min(ahead, default=None)

    def _evaluate_any(
        self, period: int, roles: tuple[str, ...], scope: str, purpose: str, action: str
    ) -> bool:
        return any(
            self._verdict(period, roles, scope, (category,), purpose, action).allowed
            for category in self._known(scope)[0]
        )

    def _evaluate_scope(
        self, period: int, roles: tuple[str, ...], scope: str, purpose: str, action: str
    ) -> frozenset[str]:
        tree = self._known(scope)[0]
        return frozenset(
            category
            for category in tree
            if self._verdict(period, roles, scope, (category,), purpose, action).allowed
        )
