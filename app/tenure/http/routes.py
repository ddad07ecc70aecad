"""Every call of the API, one module per noun."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

from litestar.di import Provide

from tenure.http.auth import provide_ask, provide_credential

# In the order of the documentation: each with the first words of its paths, after `/v1`.
NOUNS = {
    "records": ("scopes", "records"),
    "retrievals": ("retrievals", "subjects"),
    "threads": ("threads",),
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
    "packages": ("packages",),
    "shreds": ("shreds", "certificates"),
    "rederivations": ("rederivations",),
    "notices": ("notices",),
    "register": ("register",),
    "events": ("events",),
    "holds": ("holds",),
    "rights": ("requests",),
    "breakglass": ("breakglass",),
    "ledger": ("ledger",),
    "evidence": ("evidence", "certificates", "ledger", "policies"),
    "health": ("health",),
}


def handlers(nouns: Iterable[str] | None = None) -> list[Any]:
    """The handlers of some nouns, or of all."""
    names = NOUNS if nouns is None else nouns
    return [one for name in names for one in import_module(f"tenure.http.{name}").HANDLERS]


def handlers_at(path: str) -> Iterator[Any]:
    """The handlers that a path may lead to: only their nouns are read."""
    parts, word = _parts(path), word_of(path)
    for handler in handlers(noun for noun, words in NOUNS.items() if word in words):
        if any(_leads(parts, _parts(template)) for template in handler.paths):
            yield handler


def word_of(path: str) -> str:
    """The word of a path that says which nouns may have it: the first, or the next after `/v1`."""
    first, second, *_ = *_parts(path), "", ""
    return (second if first == "v1" else first).partition(":")[0]


def _parts(path: str) -> list[str]:
    return list(filter(None, path.split("/")))


def _leads(parts: list[str], template: list[str]) -> bool:
    if template[-1].endswith(":path}"):  # takes in whatever follows
        template = template[:-1]
        parts = parts[: len(template)]
    return len(parts) == len(template) and all(
        one == other or other.startswith("{") for one, other in zip(parts, template, strict=True)
    )


def dependencies() -> dict[str, Provide]:
    """What handlers ask for by name."""
    return {"credential": Provide(provide_credential), "ask": Provide(provide_ask)}
