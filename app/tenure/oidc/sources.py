"""Issuers' keys as this process knows them: fetched in threads of their own, kept, and renewed.

    fresh        for MAX_AGE_S: used as they are
    older        fetched again first; if that fails, the old ones are used until they are MAX_STALE_S old
    an unknown kid   fetched again at once: issuers rotate keys. But not oftener than every GAP_S, whatever
                 tokens say: anybody can write a kid

Whoever waits for the same keys waits for one fetch. Called on the event loop, which nothing here blocks.
"""

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import structlog

from tenure.errors import Unavailable
from tenure.model.issuer import Issuer, is_asked
from tenure.oidc.keyset import KeySet, PublicKey, read_keys
from tenure.outbound import NoAnswer, fetch

MAX_AGE_S: Final = 300.0
MAX_STALE_S: Final = 3600.0
GAP_S: Final = 10.0
MAX_SOURCES: Final = 4_096
_WITHIN_S: Final = 4.0
_LONGEST_S: Final = 10.0
"""How long a request waits for its issuer's keys at most, even where that sends its answer byte by byte."""
_MAX_BYTES: Final = 256 << 10
_AT_ONCE: Final = 4
"""Issuers that are asked at once: slow ones keep each other waiting, and nobody else."""
_WELL_KNOWN: Final = "/.well-known/openid-configuration"

_log = structlog.get_logger(__name__)
Fetch = Callable[[str], bytes]


class _Place(NamedTuple):
    """Where keys come from. Tenants that trust the same issuer share what was fetched."""

    url: str
    jwks_uri: str | None


class _Source:
    """The keys of one place."""

    def __init__(self) -> None:
        self.keys: KeySet | None = None
        self.fetched_at = 0.0
        self.tried_at = float("-inf")
        self.turn = asyncio.Lock()


class KeySources:
    """Every issuer's keys. One event loop; `close` when it ends."""

    def __init__(self, fetch_: Fetch | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch_ or _fetched
        self._clock = clock
        self._sources: dict[_Place, _Source] = {}
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="issuer")

    async def key(self, issuer: Issuer, key_id: str, algorithm: str) -> PublicKey | None:
        """The issuer's key of this id for this algorithm; None when it has none.

        Unavailable when the issuer's keys are not known and cannot be had now.
        """
        place = _Place(issuer.url, issuer.jwks_uri)
        source = self._source(place)
        if source.keys is None or self._clock() - source.fetched_at >= MAX_AGE_S:
            await self._renew(place, source, issuer)
        if self._known(source) is None:
            raise Unavailable(
                "The keys of the token's issuer cannot be had now; nothing was done.",
                retry_after=int(GAP_S),
                remedy="See that the service reaches the issuer; its discovery document names its keys.",
            )
        found = self._known(source)
        key = found.find(key_id, algorithm) if found else None
        if key is None:
            await self._renew(place, source, issuer)
            found = self._known(source)
            key = found.find(key_id, algorithm) if found else None
        return key

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _source(self, place: _Place) -> _Source:
        if place not in self._sources and len(self._sources) >= MAX_SOURCES:
            del self._sources[next(iter(self._sources))]
        return self._sources.setdefault(place, _Source())

    def _known(self, source: _Source) -> KeySet | None:
        """What may be used: not older than `MAX_STALE_S`, however often fetching failed."""
        return source.keys if self._clock() - source.fetched_at < MAX_STALE_S else None

    async def _renew(self, place: _Place, source: _Source, issuer: Issuer) -> None:
        """Fetch again, unless that was tried a moment ago. Never raises for what an issuer does."""
        async with source.turn:
            if self._clock() - source.tried_at < GAP_S:
                return
            source.tried_at = self._clock()
            loop = asyncio.get_running_loop()
            try:
                reading = loop.run_in_executor(self._pool, self._read, place)
                source.keys = await asyncio.wait_for(reading, _LONGEST_S)
            except Exception as failure:  # noqa: BLE001 - whatever an issuer sends, others' tokens go on
                _log.warning("keys of an issuer were not had", issuer=issuer.id, error=type(failure).__name__)
            else:
                source.fetched_at = source.tried_at

    def _read(self, place: _Place) -> KeySet:
        """Two requests, or one where the address of the keys is configured. In a thread."""
        uri = place.jwks_uri
        if uri is None:
            # OpenID Connect Discovery §4: the document must name the issuer that it was asked about (§4.3).
            found = json.loads(self._fetch(place.url.removesuffix("/") + _WELL_KNOWN))
            uri = found.get("jwks_uri") if isinstance(found, dict) else None
            if (
                not isinstance(uri, str)
                or found.get("issuer") != place.url
                or not is_asked(uri, of=place.url)
            ):
                raise NoAnswer
        return read_keys(self._fetch(uri))


def _fetched(url: str) -> bytes:
    return fetch(url, most_bytes=_MAX_BYTES, within_s=_WITHIN_S)
