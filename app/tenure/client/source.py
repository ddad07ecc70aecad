"""Where a published log is read from: a folder, or a base URL. Both are called with tlog-tiles paths."""

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tenure.client.bearer import bearer
from tenure.errors import Invalid, Unauthenticated, Unavailable
from tenure.tls import authorities

_TIMEOUT = 30.0
_NOT_THERE = frozenset({404, 410})
_NOT_ALLOWED = frozenset({401, 403})


class DirSource(AbstractContextManager["DirSource"]):
    """A folder with `checkpoint`, `tile/…` and, if the log's key was saved with it, `vkey`."""

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            raise Invalid(
                "There is no such folder. Nothing was checked. Name the folder of a log.", rule="source"
            )
        self._directory = directory

    def __call__(self, path: str) -> bytes | None:
        """The file's content, None when there is none."""
        try:
            return (self._directory / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def vkey(self) -> str | None:
        """The key saved beside the log."""
        raw = self("vkey")
        return raw.decode("utf-8", "replace").strip() if raw else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""


class UrlSource(AbstractContextManager["UrlSource"]):
    """A log served under a base URL, such as `https://tenure.example/v1/ledger`; `token` is an API key.

    Raises `Unauthenticated` when the server does not let this key read, `Unavailable` when it does not
    answer as it should. Redirects are not followed: they could lead the token elsewhere.
    """

    def __init__(self, base: str, token: str | None = None, client: httpx.Client | None = None) -> None:
        self._base = base.rstrip("/")
        self._headers = bearer(token, "token") if token else {}
        self._client = client or httpx.Client(timeout=_TIMEOUT, verify=authorities())

    def __call__(self, path: str) -> bytes | None:
        """The resource's content, None when the server has none."""
        response = self._get(path)
        return None if response is None else response.content

    def vkey(self) -> str | None:
        """The key that the server itself gives out: `{"vkey"}` under `/key`."""
        response = self._get("key")
        try:
            found = response.json()["vkey"] if response is not None else None
        except (ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, str) else None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, path: str) -> httpx.Response | None:
        try:
            response = self._client.get(f"{self._base}/{path}", headers=self._headers)
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            raise Unavailable(
                f"The log's server did not answer ({type(failure).__name__}). The check was not finished."
                " Try again, or audit a copy in a folder."
            ) from failure
        if response.status_code in _NOT_THERE:
            return None
        if response.status_code in _NOT_ALLOWED:
            raise Unauthenticated(
                "The log's server does not let this credential read the ledger. The check was not finished."
                " Give the API key of an auditor or a tenant's administrator."
            )
        if response.status_code != httpx.codes.OK:
            raise Unavailable(
                f"The log's server answered {response.status_code}. The check was not finished. Try again."
            )
        return response


def open_source(target: str, token: str | None = None) -> DirSource | UrlSource:
    """A source for a folder's path or an http(s) URL. Raises `Invalid` for a folder that is not there."""
    if target.startswith(("http://", "https://")):
        return UrlSource(target, token)
    return DirSource(Path(target))
