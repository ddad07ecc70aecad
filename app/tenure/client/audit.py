"""Audit a log from a folder or a URL."""

from collections.abc import Sequence

from tenure.client.source import DirSource, UrlSource
from tenure.client.trust import trust
from tenure.ledger.audit import AuditReport, Progress, audit


def audit_log(
    source: DirSource | UrlSource,
    vkeys: Sequence[str] = (),
    *,
    witnesses: Sequence[str] = (),
    quorum: int = 0,
    earlier: Sequence[str] = (),
    progress: Progress | None = None,
) -> AuditReport:
    """Check everything that a log publishes.

    `vkeys` are keys or `@file`; without any, the key that the source itself offers is used and the report
    says so. `quorum` of the `witnesses` (keys or `@file`) must have cosigned. `earlier` are checkpoints seen
    before, as text. Raises `Invalid` when there is no key, and what the source raises when it cannot be read.
    """
    keys = trust(vkeys, () if vkeys else (source.vkey(),)).watched(witnesses, quorum)
    report = audit(source, keys.verifiers, earlier=earlier, progress=progress)
    return keys.judge(report, report.witnesses)
