"""What is wrong is refused by name, whoever sends it and whatever database is beneath; nothing is written."""

import asyncio
from collections.abc import Awaitable, Callable
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


@pytest.mark.parametrize("scope", ["unknown", "", "support.notes ", "tenure.subjects", "a\x00b", "{,}"])
async def test_an_undeclared_scope(cell: Cell, scope: str) -> None:
    t, ask = cell.tenure.gateway, cell.one.ask()
    await refused(
        (NotFound, Invalid),
        lambda: cell.put("k", 1, "customer:1", scope=scope),
        lambda: cell.put("k", 1, scope=scope),
        lambda: cell.get("k", scope=scope),
        lambda: t.delete(ask, scope, "k"),
        lambda: t.query(ask, scope, Query()),
        lambda: t.history(ask, scope, "k"),
    )
    assert cell.rows("SELECT id FROM records") == []


@pytest.mark.parametrize("purpose", ["", "unknown", "Customer-Support", "tenure", "a\x00", SURROGATE])
async def test_an_undeclared_purpose(cell: Cell, purpose: str) -> None:
    with pytest.raises(Invalid) as error:
        await cell.get("k", ask=cell.one.ask(purpose=purpose))
    assert error.value.field == "Tenure-Purpose"
    assert error.value.remedy
    with pytest.raises(Invalid):
        await cell.tenure.decisions.open(cell.one["agent"], Opening(purpose))


@pytest.mark.parametrize(
    ("draft", "field"),
    [
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
    ],
    ids=str,
)
async def test_labels_and_subjects_that_do_not_fit(cell: Cell, draft: dict[str, Any], field: str) -> None:
    given: dict[str, Any] = {"subjects": ("customer:1",), "categories": ("contact",)} | draft
    with pytest.raises(Invalid) as error:
        await cell.put("k", 1, *given["subjects"], categories=given["categories"])
    assert error.value.field == field
    assert cell.rows("SELECT id FROM records UNION ALL SELECT id FROM subjects") == []


@pytest.mark.parametrize("key", ["", "x" * 513, "x" * 10_000, "a\x00b", "a\nb", SURROGATE])
async def test_a_key_that_cannot_be_kept(cell: Cell, key: str) -> None:
    t, ask = cell.tenure.gateway, cell.one.ask()
    errors = await refused(
        Invalid,
        lambda: cell.put(key, 1, "customer:1"),
        lambda: cell.get(key),
        lambda: t.delete(ask, SCOPE, key),
        lambda: t.history(ask, SCOPE, key),
    )
    assert {error.field for error in errors} == {"key"}


@pytest.mark.parametrize("number", [2**31, 2**53 - 1, 2**63 - 1])
async def test_numbers_that_no_record_has(cell: Cell, number: int) -> None:
    await cell.put("k", 1, "customer:1")
    gateway, ask = cell.tenure.gateway, cell.one.ask()
    await refused(NotFound, lambda: cell.get("k", version=number), lambda: cell.get("k", as_of=-number))
    assert (await gateway.query(ask, SCOPE, Query(since=2**53 - 1))).items == []
    assert (await gateway.query(ask, SCOPE, Query(as_of=-number))).items == []
    assert len((await gateway.history(ask, SCOPE, "k", before=number)).items) == 1


IDS = ["", "nonsense", "a\x00b", "NULL", "00000000-0000-0000-0000-00000000000g"]


@pytest.mark.parametrize("wrong", IDS, ids=range(len(IDS)))
async def test_ids_that_are_none(cell: Cell, wrong: str) -> None:
    """Not found or invalid, never 'try again later': the two databases must agree on it."""
    t, one = cell.tenure, cell.one
    source = await cell.put("k", 1, "customer:1")
    acts: dict[str, Act] = {
        "derived_from": lambda: cell.put("d", 1, "customer:1", derived_from=(source.version_id, wrong)),
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
    answers = {}
    for name, act in acts.items():
        try:
            answers[name] = str(await act())
        except (NotFound, Invalid):
            continue
        except Exception as failure:  # noqa: BLE001 - all of them are shown at once
            answers[name] = type(failure).__name__
    assert answers == {}


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


@pytest.mark.parametrize("subject", ["", "customer", "customer:a b", "customer:" + SURROGATE])
async def test_a_malformed_subject_is_refused_in_questions_too(cell: Cell, subject: str) -> None:
    await refused(
        Invalid,
        lambda: cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query(subject=subject)),
        lambda: cell.tenure.subjects.lookup(cell.one["dpo"], subject),
    )


@pytest.mark.parametrize("prefix", ["\x00", SURROGATE, "🦉"])
async def test_any_prefix_is_only_a_prefix(cell: Cell, prefix: str) -> None:
    await cell.put("k", 1, "customer:1")
    assert (await cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query(prefix=prefix))).items == []


@pytest.mark.parametrize("key", ["", "a\x00b", "x" * 100_000])
async def test_any_idempotency_key_is_kept(cell: Cell, key: str) -> None:
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
