"""Records, as both clients have them."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from tenure.client.calls import Calls
from tenure.client.operation import Work, operation
from tenure.client.results import History, Json, Page, Record, Written


class Records(Calls):
    """Put, get, delete, query, history: each under the client's purpose, and its decision if it has one."""

    @operation
    def put(
        self,
        scope: str,
        key: str,
        content: Json,
        *,
        subjects: Sequence[str] = (),
        categories: Sequence[str],
        derived_from: Sequence[str] = (),
        expires_at: datetime | None = None,
        metadata: Mapping[str, Json] | None = None,
        path: Sequence[str] = (),
        if_match: int | None = None,
        if_absent: bool = False,
        idempotency_key: str | None = None,
    ) -> Work[Written]:
        """Store a new version. One call, repeated safely: under a fresh idempotency key unless one is given.

        `content`: any JSON. `subjects`: whom it is about, by reference such as `customer:42`. `derived_from`:
        version ids. `path`: where it is filed, such as `("users", "42")`, and found under each beginning.
        `if_match`: only if the record is at this version; `if_absent`: only if there is none.

        Raises Denied, Erased (somebody it names is), Stale, NotFound (the scope), Invalid, QuotaExceeded.
        """
        body: dict[str, Any] = {
            "content": content,
            "subjects": list(subjects),
            "categories": list(categories),
            "derived_from": list(derived_from),
            "metadata": dict(metadata or {}),
        }
        if expires_at is not None:
            body["expires_at"] = instant(expires_at, "expires_at")
        if path:
            body["path"] = parts(path)
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        if if_match is not None:
            headers["If-Match"] = f'"{if_match}"'
        if if_absent:
            headers["If-None-Match"] = "*"
        answer = yield from self._asked("PUT", address(scope, key), body, headers, repeats=True)
        return Written.of(answer)

    @operation
    def get(
        self, scope: str, key: str, *, version: int | None = None, as_of: datetime | None = None
    ) -> Work[Record]:
        """The current version, a numbered one, or the one that was current at an instant.

        Raises Denied, NotFound, Erased (with the certificate), NotYet while an archive gives it out.
        """
        params = {} if version is None else {"version": str(version)}
        if as_of is not None:
            params["as_of"] = instant(as_of, "as_of")
        answer = yield from self._asked("GET", address(scope, key), params=params, repeats=True)
        return Record.of(answer)

    @operation
    def delete(self, scope: str, key: str, *, if_match: int | None = None) -> Work[Written]:
        """Store a tombstone version: the record reads as absent, its history stays. Erases nothing.

        Not repeated by itself: a second one finds nothing to delete. Raises Denied, NotFound, Stale, Erased.
        """
        headers = {} if if_match is None else {"If-Match": f'"{if_match}"'}
        answer = yield from self._asked("DELETE", address(scope, key), headers=headers)
        return Written.of(answer)

    @operation
    def query(
        self,
        scope: str,
        *,
        subject: str | None = None,
        prefix: str | None = None,
        path: Sequence[str] = (),
        categories: Sequence[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        as_of: datetime | None = None,
        content: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Work[Page]:
        """A page of records that this caller may list, with their content on request.

        `path`: what is filed there, at any depth. `cursor`: the `next` of the page before.

        Raises Denied, NotFound (the scope), Invalid.
        """
        given = {
            "subject": subject,
            "prefix": prefix,
            "path": parts(path) or None,
            "categories": None if categories is None else list(categories),
            "since": None if since is None else instant(since, "since"),
            "until": None if until is None else instant(until, "until"),
            "as_of": None if as_of is None else instant(as_of, "as_of"),
            "include": ["content"] if content else None,
            "limit": limit,
            "cursor": cursor,
        }
        body = {name: value for name, value in given.items() if value is not None}
        path = f"/v1/scopes/{quote(scope, safe='')}/records:query"
        answer = yield from self._asked("POST", path, body, repeats=True)
        return Page.of(answer)

    @operation
    def history(
        self, scope: str, key: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Work[History]:
        """A record's versions without content, newest first. Raises Denied, NotFound (the scope)."""
        params = {} if limit is None else {"limit": str(limit)}
        if cursor is not None:
            params["cursor"] = cursor
        answer = yield from self._asked("GET", f"{address(scope, key)}/versions", params=params, repeats=True)
        return History.of(answer)


def address(scope: str, key: str) -> str:
    """The path of a record."""
    return f"/v1/scopes/{quote(scope, safe='')}/records/{quote(key, safe='')}"


def parts(path: Sequence[str]) -> list[str]:
    """The parts of a path. ValueError for a single text: its characters would be the parts."""
    if isinstance(path, str):
        raise ValueError("path is a text: give its parts, such as ('users', '42')")  # noqa: TRY004 - as of `instant`
    return list(path)


def instant(at: datetime, name: str) -> str:
    """RFC 3339 of an aware datetime. ValueError for one without a time zone: it could be any instant."""
    if at.tzinfo is None:
        raise ValueError(f"{name} has no time zone: give it one, such as datetime.UTC")
    return at.isoformat()
