"""Whom TLS believes, for every call that leaves this process."""

import os
import ssl
from functools import lru_cache
from pathlib import Path

import httpx


def authorities() -> ssl.SSLContext:
    """What httpx would read for each client anew, which takes longer than the call: read once.

    As there, `SSL_CERT_FILE` or `SSL_CERT_DIR` of the environment name others than its own; these are read
    again when they changed.
    """
    named = [os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")]
    return _read(*((one, _changed(one)) for one in named))


@lru_cache(maxsize=4)
def _read(*_named: tuple[str | None, int]) -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _changed(name: str | None) -> int:
    """When it did, in nanoseconds; 0 when there is none, which is for who reads it to say."""
    try:
        return Path(name).stat().st_mtime_ns if name else 0
    except OSError:
        return 0
