"""Declared configuration: apply, compare, show and describe manifests."""

from collections.abc import Callable
from typing import Any

from tenure import ids, resources
from tenure.errors import Invalid, NotFound
from tenure.governance.configurations import SCOPE, answer, become, check_unused
from tenure.governance.service import Once, Seat, Service
from tenure.model import wording
from tenure.model.configuration import Configuration
from tenure.model.days_off import check_holidays
from tenure.model.difference import difference
from tenure.model.manifests import NOT_ENFORCED, SPECS, Manifest, parse_manifests
from tenure.model.principal import Credential
from tenure.policy.bundle import bundle
from tenure.store import configurations, principals
from tenure.store import manifests as store
from tenure.tenancy import Policy


class Manifests:
    """The tenant administrator's declarations."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def apply(
        self,
        credential: Credential,
        text: str | bytes,
        *,
        dry_run: bool,
        prune: bool = False,
        once: Once | None = None,
        look: Callable[[Policy], None] = lambda _policy: None,
    ) -> dict[str, Any]:
        """Validate the whole set, then change it in one transaction. `look` sees the rules that would hold.

        `{"changes":[{"kind","name","change"}],"policy","generation","dry_run","entry","warnings"}`. With
        `prune`, what is not given is removed. Applying the same again changes nothing and is not recorded.
        Raises Invalid with field, line and file, Conflict when something in use would be removed.
        """
        given = _given(text)

        def work(seat: Seat) -> dict[str, Any]:
            became = become(seat, _with(seat, given, prune=prune), dry_run=dry_run)
            named = {(one.kind, one.name) for one in given}
            look(became.policy)
            shown = [one for one in became.changes if one[:2] in named or one[2] == "removed"]
            return {**answer(became, shown, dry_run=dry_run), "warnings": _warnings(given)}

        return await self._service.run(credential, SCOPE, "write", work, once=once)

    async def diff(self, credential: Credential, text: str | bytes, *, prune: bool = False) -> dict[str, Any]:
        """What an apply would change: `{"changes":[{"kind","name","change","diff"}],"policy"}`.

        Changes and records nothing; raises what the apply would.
        """
        given = _given(text)

        def work(seat: Seat) -> dict[str, Any]:
            old, new = seat.desk.tenancy.policy.configuration, _with(seat, given, prune=prune)
            moved = [one for one in old.diff(new) if one[2] != "unchanged"]
            check_unused(seat.desk.tx, moved)
            changes = [
                {
                    "kind": kind,
                    "name": name,
                    "change": change,
                    "diff": difference(old.manifests.get((kind, name)), new.manifests.get((kind, name))),
                }
                for kind, name, change in moved
            ]
            packed = bundle(new, resources.policy_model(), resources.builtin_rules())
            return {"changes": changes, "policy": packed.digest}

        return await self._service.run(credential, SCOPE, "read", work)

    async def every(
        self, credential: Credential, kind: str | None = None, name: str | None = None
    ) -> list[dict[str, Any]]:
        """Manifests as declared, with `metadata.generation` and `metadata.appliedAt`."""

        def work(seat: Seat) -> list[dict[str, Any]]:
            return [_shown(seat, row) for row in _rows(seat, kind, name)]

        return await self._service.run(credential, SCOPE, "read", work)

    async def describe(self, credential: Credential, kind: str, name: str) -> dict[str, Any]:
        """One manifest in words, its conditions, which grants reach it, who applied it.

        Its own members and `{"words","conditions","grants","applied"}`; `applied` is None for what was
        applied before generations were counted. Three round trips.
        """

        def work(seat: Seat) -> dict[str, Any]:
            row = _rows(seat, kind, name)[0]
            whole = seat.desk.tenancy.policy.configuration
            manifest = whole.manifests[row["kind"], row["name"]]
            told = wording.conditions(manifest, whole, seat.desk.now)
            return {
                **_shown(seat, row),
                "words": wording.words(manifest, whole),
                "conditions": [one._asdict() for one in told],
                "grants": [
                    {
                        "name": one,
                        "effect": whole.grants[one].effect,
                        "words": wording.sentence(one, whole.grants[one]),
                    }
                    for one in wording.reaching(manifest, whole)
                ],
                "applied": _applied(seat, row["applied_in"]),
            }

        return await self._service.run(credential, SCOPE, "read", work)

    async def schema(self, credential: Credential, kind: str | None = None) -> bytes:
        """The JSON Schema of a kind, or of any manifest. Raises Invalid for a kind that there is not."""
        name = "manifest" if kind is None else kind.lower()
        if name not in {"manifest", *(one.lower() for one in SPECS)}:
            raise Invalid(
                "There is no such kind of manifest.",
                field="kind",
                rule="kind",
                remedy=f"Use one of {', '.join(SPECS)}.",
            )
        return await self._service.run(credential, SCOPE, "read", lambda _: resources.schema(name))


def _given(text: str | bytes) -> tuple[Manifest, ...]:
    given = parse_manifests(text)
    if not given:
        raise Invalid(
            "There is no manifest in what was given. Nothing was applied.",
            field="manifests",
            rule="not-empty",
            remedy="Give at least one manifest.",
        )
    check_holidays(given)
    return given


def _with(seat: Seat, given: tuple[Manifest, ...], *, prune: bool) -> Configuration:
    old = seat.desk.tenancy.policy.configuration
    kept = old.only((one.kind, one.name) for one in given) if prune else old
    return kept.with_manifests(given)


def _warnings(given: tuple[Manifest, ...]) -> list[str]:
    found = sorted({(one.kind, one.name) for one in given if one.kind in NOT_ENFORCED})
    return [f"{kind}/{name} is kept and not enforced by this version." for kind, name in found]


def _rows(seat: Seat, kind: str | None, name: str | None) -> list[dict[str, Any]]:
    # What another process has declared or removed since this transaction's policy was read is not shown.
    known = seat.desk.tenancy.policy.configuration.manifests
    found = [
        row
        for row in store.every(seat.desk.tx)
        if (kind is None or row["kind"].lower() == kind.lower())
        and name in (None, row["name"])
        and (row["kind"], row["name"]) in known
    ]
    if name is not None and not found:
        raise NotFound("There is no such manifest.", field="name")
    return found


def _applied(seat: Seat, generation: int | None) -> dict[str, Any] | None:
    made = None if generation is None else configurations.get(seat.desk.tx, generation)
    if made is None:
        return None
    by = principals.get(seat.desk.tx, made.principal_id)
    return {
        "generation": made.generation,
        "at": ids.rfc3339(made.at),
        "principal": made.principal_id,
        "name": None if by is None else by.name,
        "entry": made.entry,
    }


def _shown(seat: Seat, row: dict[str, Any]) -> dict[str, Any]:
    manifest = seat.desk.tenancy.policy.configuration.manifests[row["kind"], row["name"]].canonical()
    more = {"generation": row["generation"], "appliedAt": ids.rfc3339(row["applied_at"])}
    return {**manifest, "metadata": {**manifest["metadata"], **more}}
