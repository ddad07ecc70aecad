"""What customers import. Offline: verify receipts, certificates and populations, audit a whole log."""

from tenure.client.audit import audit_log
from tenure.client.own import AuditedConnection, OwnReport
from tenure.client.source import DirSource, UrlSource, open_source
from tenure.client.verify import Verified, verify_file, verify_text

__all__ = [
    "AuditedConnection",
    "DirSource",
    "OwnReport",
    "UrlSource",
    "Verified",
    "audit_log",
    "open_source",
    "verify_file",
    "verify_text",
]
