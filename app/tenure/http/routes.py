"""Every call of the API, one module per noun."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from litestar.di import Provide

from tenure.http.auth import provide_ask, provide_credential

# In the order of the documentation: each with the first words of its paths, after `/v1`.
NOUNS = {
    "records": ("scopes", "records"),
    "decisions": ("decisions",),
    "manifests": ("manifests",),
    "configurations": ("manifests",),
    "metrics": ("metrics",),
    "policy": ("policy", "decisions"),
    "principals": ("principals",),
    "issuers": ("issuers",),
    "tenants": ("tenants",),
    "limits": ("limits", "principals", "tenants"),
    "rootstore": ("rootstore",),
    "jobs": ("jobs",),
    "lifecycle": ("lifecycle",),
    "storage": ("storage", "retention", "tenants"),
    "subjects": ("subjects",),
    "shreds": ("shreds", "certificates"),
    "rederivations": ("rederivations",),
    "events": ("events",),
    "holds": ("holds",),
    "breakglass": ("breakglass",),
    "ledger": ("ledger",),
    "evidence": ("evidence", "certificates", "ledger", "policies"),
    "health": ("health",),
}


def handlers(nouns: Iterable[str] | None = None) -> list[Any]:
    """The handlers of some nouns, or of all."""
    names = NOUNS if nouns is None else nouns
    return [one for name in names for one in import_module(f"tenure.http.{name}").HANDLERS]


def word_of(path: str) -> str:
    """The word of a path that says which nouns may have it: the first, or the next after `/v1`."""
    first, second, *_ = *filter(None, path.split("/")), "", ""
    return (second if first == "v1" else first).partition(":")[0]


def dependencies() -> dict[str, Provide]:
    """What handlers ask for by name."""
    return {"credential": Provide(provide_credential), "ask": Provide(provide_ask)}
