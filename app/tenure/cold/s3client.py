"""How S3 is reached, and what its failures mean to whoever asked.

Credentials and region are found by the AWS SDK (environment, profile, role), never here. Retries of throttled
and lost calls are botocore's. An error of the store is Unavailable; its code is shown, its message, which
names accounts and people, is not.
"""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from tenure.cold.objects import archived
from tenure.errors import TenureError, Unavailable

_CONNECT_S, _READ_S, _ATTEMPTS = 3, 20, 5
REFUSED: Final = frozenset(
    {"AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled"}
)


def client_of(endpoint: str) -> Any:  # noqa: ANN401 - boto3 has no types of its own
    """A client for AWS, or for the S3 server at `endpoint`."""
    here = _is_this_machine(endpoint)
    config = Config(
        connect_timeout=_CONNECT_S,
        read_timeout=_READ_S,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=16,
        # Other servers than AWS's rarely have a host name for each bucket.
        s3={"addressing_style": "path" if endpoint else "auto"},
        # This machine is never asked through a proxy, which would be the proxy's machine.
        proxies={} if here else None,
    )
    # AWS's region comes from where the SDK looks for it; another server's name for itself is of no account.
    core = botocore.session.get_session()
    core.register_component("data_loader", _models())
    session = boto3.session.Session(botocore_session=core)
    region = "us-east-1" if endpoint and session.region_name is None else None
    return session.client("s3", endpoint_url=endpoint or None, region_name=region, config=config)


@cache
def _models() -> Any:  # noqa: ANN401 - botocore has no types of its own
    """The SDK's descriptions of S3 and of AWS's endpoints: megabytes of JSON, read once for all clients."""
    return botocore.loaders.create_loader()


def _is_this_machine(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def mapped(doing: str) -> Iterator[None]:
    """The SDK's errors as ours."""
    try:
        yield
    except (ClientError, BotoCoreError) as failure:
        raise failure_of(f"objects cannot be {doing}", failure) from failure


def failure_of(not_done: str, failure: ClientError | BotoCoreError) -> TenureError:
    """The SDK's error as ours; `not_done` says what came of it, such as "objects cannot be read"."""
    if isinstance(failure, ClientError):
        return _of_code(not_done, failure.response["Error"]["Code"])
    if isinstance(failure, NoCredentialsError | PartialCredentialsError):
        return Unavailable(
            f"There are no credentials for S3; {not_done}.",
            retry_after=5,
            remedy="Give this process a role, or credentials where the AWS SDK looks for them.",
        )
    return Unavailable(
        f"S3 cannot be reached; {not_done}. What was asked is safe to repeat.",
        retry_after=5,
        remedy="Check TENURE_S3_ENDPOINT, the region and the network.",
    )


def _of_code(not_done: str, code: str) -> TenureError:
    if code == "InvalidObjectState":
        return archived()
    if code == "NoSuchBucket":
        return Unavailable(
            f"There is no such bucket; {not_done}.",
            retry_after=5,
            remedy="Make the bucket, or correct TENURE_OBJECTS_URL, TENURE_MIRROR_URL or TENURE_S3_ENDPOINT.",
        )
    if code in REFUSED:
        return Unavailable(
            f"S3 refuses these credentials ({code}); {not_done}.",
            retry_after=5,
            remedy="They need s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket there; packs "
            "need s3:PutObjectTagging and s3:RestoreObject, too, and Object Lock s3:PutObjectRetention.",
        )
    return busy(code)


def busy(code: str) -> Unavailable:
    """The error of a store that answered, but not now."""
    return Unavailable(
        f"S3 cannot do this now ({code}); what was asked is safe to repeat.",
        retry_after=5,
        remedy="Repeat it later; if it stays so, ask whoever runs the store.",
    )
