"""Every error Tenure raises on purpose.

    TenureError
    ├── Invalid             the request breaks a rule            (field, rule, remedy; line, file)
    │   ├── Malformed       it could not even be read
    │   ├── TooLarge        it is over a size limit
    │   └── KeyReused       an idempotency key came back with another payload
    ├── Unauthenticated     no usable credential
    ├── Denied              policy or a person's right said no; the denial is in the ledger (entry, rules)
    ├── NotFound            nothing there that this principal may know of
    ├── Erased              it was there; its key is destroyed   (certificate)
    ├── Expired             it was there; its time is over, or it was used
    ├── Conflict            the state of things forbids it now
    │   └── Stale           If-Match or If-None-Match did not hold
    ├── Unavailable         cannot be done now; nothing was done (retry_after)
    │   ├── NotYet          under way; ask again                 (retry_after)
    │   └── RateLimited     over a limit for the moment          (limit, retry_after)
    ├── QuotaExceeded       the tenant may not store more        (limit)
    ├── Unsupported         this build does not do that
    ├── KeyFailure          key material is missing, wrong or refuses
    │   ├── Shredded        the leaf was punctured: gone for good
    │   ├── Tampered        a seal, a digest or a signature does not hold
    │   └── RootLost        no live root opens the key state
    └── Unverified          an offline check failed; `check` names which

Every message says what happened, what was not done, and what to do. Messages and fields never
carry contents, record keys or subject references: they end in logs.
"""

from typing import ClassVar, Final

ONE_PROCESS: Final = "one process per embedded store"
"""The rule that a second process breaks: `tenure doctor` tells it from other conflicts."""


class TenureError(Exception):
    """The root: catch this to catch everything Tenure raises on purpose.

    `kind` is the stable name of the error: the last part of a problem document's `type`.
    """

    kind: ClassVar[str] = "internal"

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        rule: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.rule = rule
        self.remedy = remedy


class Invalid(TenureError):
    """A well-formed request that breaks a rule."""

    kind = "invalid"

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        rule: str | None = None,
        remedy: str | None = None,
        line: int | None = None,
        file: int | str | None = None,
    ) -> None:
        """Of what was sent as text, `line` counts from 1. `file`: its number from 0, or its path."""
        super().__init__(detail, field=field, rule=rule, remedy=remedy)
        self.line = line
        self.file = file


class Malformed(Invalid):
    """A request that cannot be read at all."""

    kind = "malformed"


class TooLarge(Invalid):
    """A request or a part of one that is over its size limit."""

    kind = "too-large"


class KeyReused(Invalid):
    """An idempotency key that was first used with another payload."""

    kind = "idempotency-key-reused"


class Unauthenticated(TenureError):
    """No credential, or one that is unknown, expired or revoked."""

    kind = "unauthenticated"


class Denied(TenureError):
    """Policy denied the operation. The denial itself is in the ledger under `entry`."""

    kind = "denied"

    def __init__(
        self,
        detail: str,
        *,
        entry: str | None = None,
        rules: tuple[str, ...] = (),
        rule: str = "policy",
        remedy: str | None = None,
    ) -> None:
        """`rule`: `policy`, or what kept it back although policy allows it (`restraints.Restraint`)."""
        super().__init__(detail, rule=rule, remedy=remedy)
        self.entry = entry
        self.rules = rules


class NotFound(TenureError):
    """There is nothing there that this principal may know of."""

    kind = "not-found"


class Erased(TenureError):
    """It was there; a key it needs is destroyed. `certificate` is None until it is signed."""

    kind = "erased"

    def __init__(
        self,
        detail: str,
        *,
        certificate: str | None = None,
        shred: str | None = None,
        remedy: str = "Do not ask again: the certificate, once signed, says what was destroyed.",
    ) -> None:
        super().__init__(detail, rule="erased", remedy=remedy)
        self.certificate = certificate
        self.shred = shred


class Expired(TenureError):
    """It was there; it was for once, or for a time, and that is over."""

    kind = "expired"


class Conflict(TenureError):
    """The present state forbids the operation."""

    kind = "conflict"


class Stale(Conflict):
    """`If-Match` or `If-None-Match` did not hold: someone else wrote first."""

    kind = "stale"


class Unavailable(TenureError):
    """It cannot be done now and nothing was done. `retry_after` is in seconds."""

    kind = "unavailable"

    def __init__(self, detail: str, *, retry_after: int = 1, remedy: str | None = None) -> None:
        super().__init__(detail, remedy=remedy)
        self.retry_after = retry_after


class NotYet(Unavailable):
    """It is under way: ask again after `retry_after` seconds."""

    kind = "not-yet"


class RateLimited(Unavailable):
    """The caller is over one of its limits for the moment; nothing was read or done. `limit` names which."""

    kind = "rate-limited"

    def __init__(
        self,
        detail: str,
        *,
        limit: str,
        retry_after: int = 1,
        rule: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(detail, retry_after=retry_after, remedy=remedy)
        self.limit = limit
        self.rule = rule


class QuotaExceeded(TenureError):
    """The tenant stores as much as it may; nothing was written. `limit` names which number."""

    kind = "quota-exceeded"

    def __init__(
        self, detail: str, *, limit: str, rule: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(detail, rule=rule, remedy=remedy)
        self.limit = limit


class Unsupported(TenureError):
    """This build does not do that."""

    kind = "unsupported"


class KeyFailure(TenureError):
    """Key material is missing, wrong, or refuses to be used. Fail closed."""

    kind = "key-failure"


class Shredded(KeyFailure):
    """A leaf that was punctured: no key will ever come from it again."""

    kind = "shredded"


class Tampered(KeyFailure):
    """A seal, a digest or a signature does not hold."""

    kind = "tampered"


class RootLost(KeyFailure):
    """No live root key opens the newest key state."""

    kind = "root-lost"


class Unverified(TenureError):
    """An offline check failed. `check` is the frozen name of the check."""

    kind = "unverified"

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(detail, rule=check)
        self.check = check
