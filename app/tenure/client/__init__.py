"""What customers import: `Client` and `AsyncClient`, and what they answer (`results`).

And offline: verify receipts, certificates and populations, audit a whole log.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenure.client.audit import audit_log
    from tenure.client.clients import AsyncClient, Client
    from tenure.client.own import AuditedConnection, OwnReport
    from tenure.client.source import DirSource, UrlSource, open_source
    from tenure.client.verify import Verified, verify_file, verify_text

__all__ = [
    "AsyncClient",
    "AuditedConnection",
    "Client",
    "DirSource",
    "OwnReport",
    "UrlSource",
    "Verified",
    "audit_log",
    "open_source",
    "verify_file",
    "verify_text",
]
_MODULES = {
    "AsyncClient": "clients",
    "AuditedConnection": "own",
    "Client": "clients",
    "DirSource": "source",
    "OwnReport": "own",
    "UrlSource": "source",
    "Verified": "verify",
    "audit_log": "audit",
    "open_source": "source",
    "verify_file": "verify",
    "verify_text": "verify",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever has the name
    """Import what is asked for (PEP 562): who only connects does not wait for the verifiers."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
