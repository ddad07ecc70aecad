"""Audit a log from a folder or a URL."""

from collections.abc import Sequence

from tenure.client.source import DirSource, UrlSource
from tenure.client.trust import trust
from tenure.ledger.audit import AuditReport, Progress, audit


def audit_log(
    source: DirSource | UrlSource,
    vkeys: Sequence[str] = (),
    *,
    earlier: Sequence[str] = (),
    progress: Progress | None = None,
) -> AuditReport:
    """Check everything that a log publishes.

    `vkeys` are keys or `@file`; without any, the key that the source itself offers is used and the report
    says so. `earlier` are checkpoints seen before, as text. Raises `Invalid` when there is no key, and what
    the source raises when it cannot be read.
    """
    keys = trust(vkeys, () if vkeys else (source.vkey(),))
    return keys.qualify(audit(source, keys.verifiers, earlier=earlier, progress=progress))
