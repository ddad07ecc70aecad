"""Issuers' keys as this process knows them: fetched in threads of their own, kept, and renewed.

    fresh        for MAX_AGE_S: used as they are
    older        fetched again; who finds its key among the old ones waits for that a moment at most, and
                 uses it until the old ones are MAX_STALE_S old
    an unknown kid   fetched again at once: issuers rotate keys. But not oftener than every GAP_S, whatever
                 tokens say: anybody can write a kid
    no answer    asked again after GAP_S, twice that, and so on up to MAX_GAP_S
    slow         asked again after ten times what the last fetch took: nobody holds more than a tenth of a
                 thread, and one that waits for a thread gives up after LONGEST_S

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
from tenure.model.issuer import Issuer, is_asked, is_here
from tenure.oidc.keyset import KeySet, PublicKey, read_keys
from tenure.outbound import NoAnswer, fetch

MAX_AGE_S: Final = 300.0
MAX_STALE_S: Final = 3600.0
GAP_S: Final = 10.0
MAX_SOURCES: Final = 4_096
MAX_GAP_S: Final = 60.0
_WITHIN_S: Final = 3.0
_PATIENCE_S: Final = 1.0
"""How long a fetch may take before those go on with the old key who have it."""
_LONGEST_S: Final = 10.0
"""How long a request waits at most for a key that is not known, and a fetch for its turn and its answer."""
_SHARE: Final = 10.0
"""An issuer is left alone for so many times what its last fetch took."""
_MAX_BYTES: Final = 256 << 10
_AT_ONCE: Final = 8
"""Issuers that are asked at once: slow ones keep each other waiting, and those whose keys are not known."""
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
        self.fetched_at = float("-inf")
        self.tried_at = float("-inf")
        self.failures = 0
        self.failed = False
        self.took = 0.0
        self.renewal: asyncio.Task[None] | None = None

    @property
    def gap(self) -> float:
        """Seconds from one try to the next."""
        back_off = min(MAX_GAP_S, GAP_S * 2.0 ** max(0, min(self.failures, 10) - 1))
        return max(back_off, self.took * _SHARE)

    @property
    def is_behind(self) -> bool:
        """Whether its issuer may have keys that are not known here."""
        return self.failed or self.renewal is not None


class KeySources:
    """Every issuer's keys. One event loop; `close` when it ends."""

    def __init__(
        self,
        fetch_: Fetch | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        local: bool = False,
        at_once: int = _AT_ONCE,
        kept: int = MAX_SOURCES,
    ) -> None:
        """`local`: issuers on this machine too. `at_once` threads, and keys of `kept` issuers."""
        self._fetch = fetch_ or _fetched
        self._clock = clock
        self._local = local
        self._kept = kept
        self._sources: dict[_Place, _Source] = {}
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="issuer")

    async def key(self, issuer: Issuer, key_id: str, algorithm: str) -> PublicKey | None:
        """The issuer's key of this id for this algorithm; None when it has none.

        Unavailable when the issuer's keys, or this one, are not known and cannot be had now.
        """
        place = _Place(issuer.url, issuer.jwks_uri)
        source = self._source(place)
        found = self._find(source, key_id, algorithm)
        if found is None or self._clock() - source.fetched_at >= MAX_AGE_S:
            patience = _LONGEST_S if found is None else _PATIENCE_S
            await self._renewed(place, source, issuer, patience)
            found = self._find(source, key_id, algorithm)
        if found is None and (source.is_behind or self._known(source) is None):
            raise Unavailable(
                "The keys of the token's issuer cannot be had now; nothing was done.",
                retry_after=int(source.gap),
                remedy="See that the service reaches the issuer; its discovery document names its keys.",
            )
        return found

    def close(self) -> None:
        """End the threads, and what waits for one."""
        for source in self._sources.values():
            if source.renewal is not None:
                source.renewal.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _source(self, place: _Place) -> _Source:
        source = self._sources.pop(place, None) or _Source()
        if len(self._sources) >= self._kept:  # the one that was not asked for the longest time
            dropped = self._sources.pop(next(iter(self._sources)))
            if dropped.renewal is not None:
                dropped.renewal.cancel()
        self._sources[place] = source
        return source

    def _known(self, source: _Source) -> KeySet | None:
        """What may be used: not older than `MAX_STALE_S`, however often fetching failed."""
        return source.keys if self._clock() - source.fetched_at < MAX_STALE_S else None

    def _find(self, source: _Source, key_id: str, algorithm: str) -> PublicKey | None:
        known = self._known(source)
        return known.find(key_id, algorithm) if known else None

    async def _renewed(self, place: _Place, source: _Source, issuer: Issuer, patience: float) -> None:
        """Have the keys fetched, unless that was tried a moment ago, and wait for it for a while."""
        now = self._clock()
        if source.renewal is None and now - source.tried_at >= source.gap:
            source.tried_at = now
            source.renewal = asyncio.create_task(self._renew(place, source, issuer))
        left = source.tried_at + patience - now
        if source.renewal is not None and left > 0:
            await asyncio.wait({source.renewal}, timeout=left)

    async def _renew(self, place: _Place, source: _Source, issuer: Issuer) -> None:
        """Fetch. Never raises for what an issuer does."""
        began: list[float] = []  # when a thread took it up

        def read() -> KeySet:
            began.append(self._clock())
            return self._read(place)

        try:
            async with asyncio.timeout(_LONGEST_S):
                source.keys = await asyncio.get_running_loop().run_in_executor(self._pool, read)
        except Exception as failure:  # noqa: BLE001 - whatever an issuer sends, others' tokens go on
            source.failed = True
            source.failures += len(began)  # who was never asked is asked again soon
            _log.warning("keys of an issuer were not had", issuer=issuer.id, error=type(failure).__name__)
        else:
            source.failed, source.failures, source.fetched_at = False, 0, began[0]
        finally:
            source.took = self._clock() - began[0] if began else 0.0
            source.renewal = None

    def _read(self, place: _Place) -> KeySet:
        """Two requests, or one where the address of the keys is configured. In a thread."""
        if is_here(place.url) and not self._local:
            raise NoAnswer  # configured while the service was set up otherwise
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
