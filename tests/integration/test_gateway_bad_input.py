"""What is wrong is refused by name, whoever sends it and whatever database is beneath; nothing is written."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from support.cell import NOTES, SCOPE, SUPPORT, Cell
from tenure.access import Ask
from tenure.decisions import Opening
from tenure.errors import (
    Conflict,
    Invalid,
    NotFound,
    TenureError,
    Unauthenticated,
    Unavailable,
)
from tenure.listing import Query
from tenure.model.apikey import parse_api_key

pytestmark = pytest.mark.anyio

Act = Callable[[], Awaitable[Any]]

SURROGATE = "x\ud800"


async def refused(kinds: type[TenureError] | tuple[type[TenureError], ...], *acts: Act) -> list[TenureError]:
    """Every act is refused in one of these ways; the refusals."""
    found = []
    for act in acts:
        with pytest.raises(kinds) as refusal:
            await act()
        found.append(refusal.value)
    return found


async def test_an_undeclared_scope(cell: Cell, subtests: pytest.Subtests) -> None:
    t, ask = cell.tenure.gateway, cell.one.ask()
    for scope in ("unknown", "", "support.notes ", "tenure.subjects", "a\x00b", "{,}"):
        with subtests.test(scope=scope):
            await refused(
                (NotFound, Invalid),
                partial(cell.put, "k", 1, "customer:1", scope=scope),
                partial(cell.put, "k", 1, scope=scope),
                partial(cell.get, "k", scope=scope),
                partial(t.delete, ask, scope, "k"),
                partial(t.query, ask, scope, Query()),
                partial(t.history, ask, scope, "k"),
            )
    assert cell.rows("SELECT id FROM records") == []


async def test_an_undeclared_purpose(cell: Cell, subtests: pytest.Subtests) -> None:
    for purpose in ("", "unknown", "Customer-Support", "tenure", "a\x00", SURROGATE):
        with subtests.test(purpose=purpose):
            with pytest.raises(Invalid) as error:
                await cell.get("k", ask=cell.one.ask(purpose=purpose))
            assert error.value.field == "Tenure-Purpose"
            assert error.value.remedy
            with pytest.raises(Invalid):
                await cell.tenure.decisions.open(cell.one["agent"], Opening(purpose))


async def test_labels_and_subjects_that_do_not_fit(cell: Cell, subtests: pytest.Subtests) -> None:
    rows: list[tuple[dict[str, Any], str]] = [
        ({"categories": ()}, "categories"),
        ({"categories": ("unknown",)}, "categories"),
        ({"categories": ("contact", "a,b")}, "categories"),
        ({"categories": ("personal",)}, "categories"),
        ({"subjects": ()}, "subjects"),
        ({"subjects": ("customer",)}, "subjects[0]"),
        ({"subjects": ("customer:1", "Customer:2")}, "subjects[1]"),
        ({"subjects": ("customer:a b",)}, "subjects[0]"),
        ({"subjects": ("customer:\x00",)}, "subjects[0]"),
        ({"subjects": ("customer:" + SURROGATE,)}, "subjects[0]"),
        ({"subjects": ("customer:" + "x" * 201,)}, "subjects[0]"),
        ({"subjects": ("customer:1", "customer:1")}, "subjects"),
        ({"subjects": tuple(f"customer:{n}" for n in range(65))}, "subjects"),
    ]
    for draft, field in rows:
        with subtests.test(draft=draft):
            given: dict[str, Any] = {"subjects": ("customer:1",), "categories": ("contact",)} | draft
            with pytest.raises(Invalid) as error:
                await cell.put("k", 1, *given["subjects"], categories=given["categories"])
            assert error.value.field == field
    assert cell.rows("SELECT id FROM records UNION ALL SELECT id FROM subjects") == []


async def test_a_key_that_cannot_be_kept(cell: Cell, subtests: pytest.Subtests) -> None:
    t, ask = cell.tenure.gateway, cell.one.ask()
    for key in ("", "x" * 513, "x" * 10_000, "a\x00b", "a\nb", SURROGATE):
        with subtests.test(key=key[:20]):
            errors = await refused(
                Invalid,
                partial(cell.put, key, 1, "customer:1"),
                partial(cell.get, key),
                partial(t.delete, ask, SCOPE, key),
                partial(t.history, ask, SCOPE, key),
            )
            assert {error.field for error in errors} == {"key"}


async def test_numbers_that_no_record_has(cell: Cell, subtests: pytest.Subtests) -> None:
    await cell.put("k", 1, "customer:1")
    gateway, ask = cell.tenure.gateway, cell.one.ask()
    assert (await gateway.query(ask, SCOPE, Query(since=2**53 - 1))).items == []
    for number in (2**31, 2**53 - 1, 2**63 - 1):
        with subtests.test(number=number):
            await refused(
                NotFound, partial(cell.get, "k", version=number), partial(cell.get, "k", as_of=-number)
            )
            assert (await gateway.query(ask, SCOPE, Query(as_of=-number))).items == []
            assert len((await gateway.history(ask, SCOPE, "k", before=number)).items) == 1


async def test_ids_that_are_none(cell: Cell) -> None:
    """Not found or invalid, never 'try again later': the two databases must agree on it."""
    source = await cell.put("k", 1, "customer:1")
    answers = {}
    for wrong in ("", "nonsense", "a\x00b", "NULL", "00000000-0000-0000-0000-00000000000g"):
        for name, act in by_id(cell, source.version_id, wrong).items():
            try:
                answers[name, wrong] = str(await act())
            except (NotFound, Invalid):
                continue
            except Exception as failure:  # noqa: BLE001 - all of them are shown at once
                answers[name, wrong] = type(failure).__name__
    assert answers == {}


def by_id(cell: Cell, version: str, wrong: str) -> dict[str, Act]:
    """Everything that takes an id."""
    t, one = cell.tenure, cell.one
    return {
        "derived_from": lambda: cell.put("d", 1, "customer:1", derived_from=(version, wrong)),
        "decision": lambda: cell.get("k", ask=one.ask(decision=wrong)),
        "decision of a list": lambda: t.gateway.query(one.ask(decision=wrong), SCOPE, Query()),
        "decisions.get": lambda: t.decisions.get(one["agent"], wrong),
        "decisions.seal": lambda: t.decisions.seal(one["agent"], wrong, "done", None),
        "decisions.receipt": lambda: t.decisions.receipt(one["agent"], wrong),
        "decisions.context": lambda: t.decisions.context(one.ask(), wrong),
        "subjects.get": lambda: t.subjects.get(one["dpo"], wrong),
        "subjects.shred": lambda: t.subjects.shred(one["dpo"], wrong),
        "shred_state": lambda: t.erasures.state(one["dpo"], wrong),
        "certificate": lambda: t.erasures.certificate(one["dpo"], wrong),
        "add_credential": lambda: t.principals.add_credential(one["admin"], wrong),
        "credentials": lambda: t.principals.credentials(one["admin"], wrong),
        "revoke": lambda: t.principals.revoke(one["admin"], one.principals["agent"], wrong),
    }


async def test_one_bad_id_does_not_slow_its_neighbours_into_failing(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")

    async def wrong() -> None:
        await cell.get("k", ask=cell.one.ask(decision="nonsense"))

    results = await asyncio.gather(
        *(cell.get("k") for _ in range(10)),
        wrong(),
        *(cell.get("k") for _ in range(10)),
        return_exceptions=True,
    )
    failed = [result for result in results if isinstance(result, BaseException)]
    assert [type(one) for one in failed] == [NotFound]


async def test_a_malformed_subject_is_refused_in_questions_too(cell: Cell, subtests: pytest.Subtests) -> None:
    for subject in ("", "customer", "customer:a b", "customer:" + SURROGATE):
        with subtests.test(subject=subject):
            await refused(
                Invalid,
                partial(cell.tenure.gateway.query, cell.one.ask(), SCOPE, Query(subject=subject)),
                partial(cell.tenure.subjects.lookup, cell.one["dpo"], subject),
            )


async def test_any_prefix_is_only_a_prefix(cell: Cell, subtests: pytest.Subtests) -> None:
    await cell.put("k", 1, "customer:1")
    for prefix in ("\x00", SURROGATE, "🦉"):
        with subtests.test(prefix=prefix):
            found = await cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query(prefix=prefix))
            assert found.items == []


async def test_any_idempotency_key_is_kept(cell: Cell, subtests: pytest.Subtests) -> None:
    for key in ("", "a\x00b", "x" * 100_000):
        with subtests.test(key=key[:20]):
            first = await cell.put("k", 1, "customer:1", idempotency_key=key)
            assert await cell.put("k", 1, "customer:1", idempotency_key=key) == first


@pytest.mark.parametrize(
    "key", ["", "tnr_", "tnr_AAAA", "Bearer x", "tnr_" + "A" * 72, "é", "tnr_" + SURROGATE]
)
def test_an_api_key_that_is_none(key: str) -> None:
    with pytest.raises(Unauthenticated):
        parse_api_key(key)


async def test_a_decision_takes_only_its_own(cell: Cell) -> None:
    opened = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT))
    with pytest.raises(NotFound):
        await cell.get("k", ask=cell.one.ask("clerk", decision=opened["id"]))
    with pytest.raises(NotFound):
        await cell.tenure.decisions.seal(cell.one["clerk"], opened["id"], "done", None)
    with pytest.raises(Invalid):
        await cell.get("k", ask=Ask(cell.one["agent"], "marketing", opened["id"]))
    for outcome in ("", "Not A Code", "x" * 65, "é", "a\n"):
        with pytest.raises(Invalid):
            await cell.tenure.decisions.seal(cell.one["agent"], opened["id"], outcome, None)
    await cell.tenure.decisions.seal(cell.one["agent"], opened["id"], "done", None)
    with pytest.raises(Conflict):
        await cell.tenure.decisions.seal(cell.one["agent"], opened["id"], "done", None)
    with pytest.raises(Conflict):
        await cell.put("k", 1, "customer:1", ask=cell.one.ask(decision=opened["id"]))


async def test_errors_carry_nothing_personal(cell: Cell) -> None:
    await cell.put("secret-key", "secret-content", "customer:secret-person", scope=NOTES)
    await cell.request("customer:secret-person")
    errors = await refused(
        TenureError,
        lambda: cell.get("secret-key", scope=NOTES),
        lambda: cell.put("secret-key", "secret-content", "customer:secret-person", scope=NOTES),
        lambda: cell.put("secret-key" * 100, 1),
        lambda: cell.put("k", 1, "customer:secret person"),
        lambda: cell.get("secret-missing", scope=NOTES),
        lambda: cell.get("secret-key", scope=NOTES, ask=cell.one.ask("marketer")),
    )
    for error in errors:
        assert "secret" not in f"{error!r} {error.detail} {error.remedy} {error.rule} {error.field}"
        assert not isinstance(error, Unavailable)
