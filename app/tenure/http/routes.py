"""Every call of the API, one module per noun."""

from typing import Any

from litestar.di import Provide

from tenure.http import (
    breakglass,
    configurations,
    decisions,
    events,
    evidence,
    health,
    holds,
    issuers,
    jobs,
    ledger,
    lifecycle,
    limits,
    manifests,
    metrics,
    policy,
    principals,
    records,
    rederivations,
    retrievals,
    rootstore,
    shreds,
    storage,
    subjects,
    tenants,
)
from tenure.http.auth import provide_ask, provide_credential

_NOUNS = (
    records,
    retrievals,
    decisions,
    manifests,
    configurations,
    metrics,
    policy,
    principals,
    issuers,
    tenants,
    limits,
    rootstore,
    jobs,
    lifecycle,
    storage,
    subjects,
    shreds,
    rederivations,
    events,
    holds,
    breakglass,
    ledger,
    evidence,
    health,
)


def handlers() -> list[Any]:
    """The handlers, in the order of the documentation."""
    return [handler for noun in _NOUNS for handler in noun.HANDLERS]


def dependencies() -> dict[str, Provide]:
    """What handlers ask for by name."""
    return {"credential": Provide(provide_credential), "ask": Provide(provide_ask)}
