"""AWS's errors as ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from tenure.errors import KeyFailure, RootLost, Tampered, Unavailable

_BUSY: Final = frozenset(
    {
        "DependencyTimeoutException",
        "InternalFailure",
        "KMSInternalException",
        "KeyUnavailableException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


class Missing(RootLost):
    """AWS KMS has no such key or alias, or does not show it yet."""


class Taken(Exception):
    """Another key has this alias: the root store's own signal, which never leaves it."""


@contextmanager
def mapped() -> Iterator[None]:
    """AWS's errors as ours. Their codes are shown, their messages are not: these name accounts and people."""
    try:
        yield
    except ClientError as failure:
        raise _of_code(failure.response["Error"]["Code"]) from failure
    except (NoCredentialsError, PartialCredentialsError) as failure:
        raise KeyFailure(
            "There are no credentials for AWS KMS; nothing was done.",
            rule="aws-credentials",
            remedy="Give this process a role, or credentials where the AWS SDK looks for them.",
        ) from failure
    except BotoCoreError as failure:
        raise Unavailable(
            "AWS KMS cannot be reached; what was asked may or may not have been done, and is safe to repeat.",
            remedy="Check the region, the endpoint and the network.",
        ) from failure


def _of_code(code: str) -> Exception:
    if code in ("AlreadyExistsException", "IncorrectKeyMaterialException"):
        return Taken()
    if code in _BUSY:
        return Unavailable(f"AWS KMS cannot answer now ({code}); repeat it later.", retry_after=5)
    return _of_key(code)


def _of_key(code: str) -> KeyFailure:
    if code in ("InvalidCiphertextException", "IncorrectKeyException"):
        return Tampered(
            "What the root key sealed was changed, or belongs elsewhere. Nothing was opened.",
            rule="root-seal",
        )
    if code == "NotFoundException":
        return Missing(
            "AWS KMS has no key of that root version in this region. Nothing was opened or changed.",
            remedy="Check account, region and the cell's name in TENURE_ROOT_STORE.",
        )
    if code == "KMSInvalidStateException":
        return RootLost(
            "AWS KMS has no usable key of that root version: its material or the key itself is destroyed. "
            "Nothing was opened."
        )
    if code == "DisabledException":
        return KeyFailure(
            "The root key is disabled in AWS KMS; nothing was opened.",
            rule="aws-kms",
            remedy="Whoever disabled it must enable it again (kms:EnableKey).",
        )
    return KeyFailure(
        f"AWS KMS refused ({code}); nothing was opened.",
        rule="aws-kms",
        remedy="Compare the role's permissions and the account's quotas with docs/rootstores.md.",
    )
