"""The client, each test four times: blocking and awaited, over HTTP and with the cell in this process."""

import asyncio
import hashlib
import inspect
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_type_hints

import httpx
import pytest

import tenure
from support.cell import SCOPE, SUPPORT, Cell, Stock
from support.serving import served
from tenure.client import AsyncClient, Client
from tenure.client.operation import Operation
from tenure.client.verify import verify_text
from tenure.errors import Conflict, Denied, Erased, Invalid, NotFound, Stale, Unauthenticated, Unavailable
from tenure.ledger.note import Verifier

TALK = {"text": "Où est mon vol ?", "n": [1, 2.5, None, True]}


class Awaited:
    """An `AsyncClient` whose calls block: what a test says of one kind it says of the other."""

    def __init__(self, client: AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
        self._client, self._loop = client, loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name in ("for_purpose", "within"):
            return lambda *given, **named: Awaited(found(*given, **named), self._loop)
        if name == "decision":
            return lambda **about: AwaitedBlock(found(**about), self._loop)
        if inspect.ismethod(found) or inspect.isfunction(found):
            return lambda *given, **named: self._loop.run_until_complete(found(*given, **named))
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            setattr(self._client, name, value)


class AwaitedBlock:
    def __init__(self, block: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._block, self._loop = block, loop

    def __enter__(self) -> Awaited:
        return Awaited(self._loop.run_until_complete(self._block.__aenter__()), self._loop)

    def __exit__(self, *left: object) -> Any:
        return self._loop.run_until_complete(self._block.__aexit__(*left))


class Site:
    """A cell, somewhere, and clients of it."""

    def __init__(self, cell: Cell, kind: str, url: str | None, stack: ExitStack) -> None:
        self.cell, self.kind, self.url = cell, kind, url
        self._stack = stack
        self._made: dict[str, Any] = {}

    def __call__(self, who: str = "agent", purpose: str | None = SUPPORT) -> Any:
        """A client of somebody in the first tenant."""
        key = self.cell.one.keys[who]
        if self.url is None:
            if not self._made:
                self._made["first"] = self._opened(key, purpose)
                return self._made["first"]
            first = self._made["first"]
            inner = first._client if isinstance(first, Awaited) else first
            other = type(inner)(
                "http://tenure.localhost", key, purpose=purpose, transport=inner._http._transport
            )
            return Awaited(other, first._loop) if isinstance(first, Awaited) else other
        if self.kind == "Client":
            return self._stack.enter_context(Client(self.url, key, purpose=purpose))
        loop = self._loop()
        client = AsyncClient(self.url, key, purpose=purpose)
        self._stack.callback(lambda: loop.run_until_complete(client.aclose()))
        return Awaited(client, loop)

    def _opened(self, key: str, purpose: str | None) -> Any:
        settings = self.cell.settings.model_dump(exclude={"data_dir", "database_url"})
        folder = self.cell.settings.data_dir
        if self.kind == "Client":
            opened = tenure.open(folder, key, purpose=purpose, settings=settings)
            return self._stack.enter_context(opened)
        loop = self._loop()
        block = tenure.open_async(folder / "tenure.db", key, purpose=purpose, settings=settings)
        client = loop.run_until_complete(block.__aenter__())
        self._stack.callback(lambda: loop.run_until_complete(block.__aexit__(None, None, None)))
        return Awaited(client, loop)

    def _loop(self) -> asyncio.AbstractEventLoop:
        if "loop" not in self._made:
            self._made["loop"] = loop = asyncio.new_event_loop()
            self._stack.callback(loop.close)
        return self._made["loop"]  # type: ignore[no-any-return]


@pytest.fixture(scope="module", params=["Client", "AsyncClient"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=["in process", "over HTTP"])
def site(
    request: pytest.FixtureRequest, kind: str, _stock: Stock, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    cell = _stock.copy("sqlite", folder, None)
    cell.settings = cell.settings.model_copy(update={"shred_interval_s": 0})
    with ExitStack() as stack:
        url = None
        if request.param == "over HTTP":
            given = cell.settings.model_dump(include={"data_dir", "root_dir", "shred_interval_s"})
            _, http = stack.enter_context(served(given, folder / "log"))
            url = str(http.base_url)
        site = Site(cell, kind, url, stack)
        site()  # in process, the first one has the cell
        yield site


def test_what_is_put_is_got_and_typed(site: Site) -> None:
    client, before = site(), datetime.now(UTC) - timedelta(seconds=5)
    made = client.put(SCOPE, "talk/1 é?", TALK, subjects=["customer:1"], categories=["contact"])
    assert (made.version, made.scope, made.key) == (1, SCOPE, "talk/1 é?")
    assert before < made.created_at < datetime.now(UTC) + timedelta(seconds=5)
    found = client.get(SCOPE, "talk/1 é?")
    assert found.content == TALK
    assert (found.subjects, found.categories, found.tier) == (("customer:1",), ("contact",), "hot")
    assert found.version_id == made.version_id
    again = client.put(
        SCOPE, "talk/1 é?", 2, subjects=["customer:1"], categories=["contact"], if_match=1, metadata={"a": 1}
    )
    assert again.version == 2
    assert client.get(SCOPE, "talk/1 é?", version=1).content == TALK
    assert client.get(SCOPE, "talk/1 é?", as_of=again.created_at).metadata == {"a": 1}
    with pytest.raises(Stale):
        client.put(SCOPE, "talk/1 é?", 3, subjects=["customer:1"], categories=["contact"], if_match=1)
    with pytest.raises(Stale):
        client.put(SCOPE, "talk/1 é?", 3, subjects=["customer:1"], categories=["contact"], if_absent=True)
    listed = client.query(SCOPE, prefix="talk/1", content=True)
    assert [(one.key, one.content) for one in listed] == [("talk/1 é?", 2)]
    assert [one.version for one in client.history(SCOPE, "talk/1 é?").items] == [2, 1]
    assert client.delete(SCOPE, "talk/1 é?", if_match=2).version == 3
    with pytest.raises(NotFound):
        client.get(SCOPE, "talk/1 é?")


def test_pages_lead_on_and_an_instant_needs_a_zone(site: Site) -> None:
    client = site()
    for n in range(5):
        client.put(SCOPE, f"page-{n}", n, subjects=["customer:5"], categories=["contact"])
    cursor, seen = None, []
    while True:
        page = client.query(SCOPE, subject="customer:5", content=True, limit=2, cursor=cursor)
        seen += [one.content for one in page]
        cursor = page.next
        if cursor is None:
            break
    assert sorted(seen) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="time zone"):
        client.query(SCOPE, since=datetime(2026, 1, 1))  # noqa: DTZ001 - that is what is refused


def test_errors_are_the_services_own(site: Site) -> None:
    client = site()
    client.put(SCOPE, "told", 1, subjects=["customer:2"], categories=["health"])
    with pytest.raises(Denied) as denied:
        site("clerk").get(SCOPE, "told")
    assert denied.value.entry
    with pytest.raises(Invalid) as invalid:
        client.put(SCOPE, "told", 1, subjects=["customer:2"], categories=["nothing.such"])
    assert invalid.value.field
    assert invalid.value.remedy
    with pytest.raises(Invalid, match="purpose"):
        site("agent", None).get(SCOPE, "told")
    assert site("agent", None).for_purpose(SUPPORT).get(SCOPE, "told").content == 1


def test_a_decision_is_a_block_and_what_it_saw_is_proven(site: Site) -> None:
    client = site()
    client.put(SCOPE, "seen", TALK, subjects=["customer:3"], categories=["contact"])
    with client.decision(subject="customer:3", model="m-1") as decision:
        assert decision.get(SCOPE, "seen").content == TALK
        decision.outcome = "refund"
        name = decision.bound.decision
    assert client.bound.decision is None, "the client itself belongs to none"
    told = client.get_decision(name)
    assert (told.state, told.outcome) == ("sealed", "refund")
    assert told.subject, "by id: a reference is personal data"
    assert len(told.accesses) == 1
    with pytest.raises(Conflict):
        client.within(name).get(SCOPE, "seen")
    assert [one["content"] for one in client.context(name).items] == [TALK]
    receipt = client.receipt(name)
    vkey = site("auditor").call("GET", "/v1/ledger/key")["vkey"]
    assert verify_text(receipt, [Verifier.parse(vkey)]).report.ok
    assert client.openings(name).items


def test_a_block_that_fails_is_sealed_so_and_the_failure_goes_on(site: Site) -> None:
    client, begun = site(), []

    def fails() -> None:
        with client.decision() as decision:
            begun.append(decision.bound.decision)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert client.get_decision(*begun).outcome == "failed"
    with client.decision() as decision:
        name = decision.bound.decision
    assert client.get_decision(name).outcome == "completed"
    output = {"answer": "yes"}
    opened = client.open_decision(input_sha256=hashlib.sha256(b"prompt").hexdigest())
    assert client.seal_decision(opened.id, "answered", output=output).accesses == 0


def test_who_is_erased_is_gone_with_a_certificate(site: Site) -> None:
    client, dpo = site(), site("dpo", None)
    client.put(SCOPE, "gone", 1, subjects=["customer:gone"], categories=["contact"])
    (person,) = dpo.call("POST", "/v1/subjects:lookup", {"ref": "customer:gone"})["items"]
    shred = dpo.call("POST", f"/v1/subjects/{person['id']}:shred")["shred"]
    for _ in range(200):
        state = dpo.call("GET", f"/v1/shreds/{shred}")
        if state["state"] == "completed":
            break
    with pytest.raises(Erased) as gone:
        client.get(SCOPE, "gone")
    assert gone.value.certificate == state["certificate"]
    assert gone.value.remedy
    client.put(SCOPE, "anew", 1, subjects=["customer:gone"], categories=["contact"])
    assert "new person" in gone.value.remedy, "as has just been seen"


def test_what_is_filed_is_found_under_each_beginning(site: Site) -> None:
    client = site()
    client.put(
        SCOPE, "f", 1, subjects=["customer:1"], categories=["contact"], path=("people", "é/1", "notes")
    )
    assert client.get(SCOPE, "f").path == ("people", "é/1", "notes")
    for path in [("people",), ["people", "é/1"], ("people", "é/1", "notes")]:
        assert [(one.key, one.path) for one in client.query(SCOPE, path=path)] == [
            ("f", ("people", "é/1", "notes"))
        ]
    assert list(client.query(SCOPE, path=("peopl",))) == []
    for wrong in ("people", ("people", "")):
        with pytest.raises((ValueError, Invalid)):
            client.query(SCOPE, path=wrong)
        with pytest.raises((ValueError, Invalid)):
            client.put(SCOPE, "f", 1, subjects=["customer:1"], categories=["contact"], path=wrong)


def test_a_client_is_shared(site: Site) -> None:
    """By threads; an awaited one by tasks."""
    client = site()
    if isinstance(client, Awaited):
        put = partial(client._client.put, SCOPE, categories=["contact"], subjects=["customer:t"])

        async def at_once() -> None:
            await asyncio.gather(*(put(f"t-{n}", n) for n in range(24)))

        client._loop.run_until_complete(at_once())
        assert client.get(SCOPE, "t-23").content == 23
        return
    with ThreadPoolExecutor(8) as threads:
        put = partial(client.put, SCOPE, categories=["contact"], subjects=["customer:t"])
        list(threads.map(lambda n: put(f"t-{n}", n), range(24)))
        found = list(threads.map(lambda n: client.get(SCOPE, f"t-{n}").content, range(24)))
    assert found == list(range(24))


class Cut(httpx.BaseTransport):
    """Passes requests on, and loses some of the answers."""

    def __init__(self, base: httpx.BaseTransport, lose: int) -> None:
        self._base, self.lose, self.sent = base, lose, 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._base.handle_request(request)
        response.read()
        self.sent += 1
        if self.lose:
            self.lose -= 1
            raise httpx.ReadError("cut off")
        return response


def test_a_lost_answer_makes_no_second_version(site: Site) -> None:
    if site.kind != "Client":
        pytest.skip("the steps are the same")
    base = site()._http._transport if site.url is None else httpx.HTTPTransport()
    cut = Cut(base, 2)
    url = site.url or "http://tenure.localhost"
    client = Client(url, site.cell.one.keys["agent"], purpose=SUPPORT, transport=cut)
    assert client.put(SCOPE, "once", 1, subjects=["customer:1"], categories=["contact"]).version == 1
    assert cut.sent == 3
    assert [one.version for one in client.history(SCOPE, "once").items] == [1]
    cut.lose, cut.sent = 1, 0
    with pytest.raises(Unavailable, match="not known"):
        client.open_decision()
    assert cut.sent == 1, "a second decision would be nobody's"
    if site.url is not None:
        base.close()


def test_what_cannot_be_opened_says_so(tmp_path: Path, embedded: Cell) -> None:
    for wrong in (tmp_path, tmp_path / "none", "ftp://elsewhere", "sqlite:///none/tenure.db"):
        with pytest.raises(Invalid) as found:
            tenure.open(wrong, "tnr_x")
        assert found.value.field == "target"
        assert found.value.remedy
    assert not (tmp_path / "none").exists()
    with pytest.raises(Invalid):
        tenure.open("https://tenure.example", "tnr_x", settings={"lanes": 1})
    settings = embedded.settings.model_dump(exclude={"data_dir", "database_url"})
    key = embedded.one.keys["agent"]
    with tenure.open(embedded.settings.data_dir, key, purpose=SUPPORT, settings=settings) as client:
        client.put(SCOPE, "kept", 1, subjects=["customer:1"], categories=["contact"])
        with pytest.raises(Conflict, match="process"):
            tenure.open(embedded.settings.data_dir, key, settings=settings)
    with tenure.open(
        f"sqlite:///{embedded.settings.data_dir / 'tenure.db'}", key, purpose=SUPPORT, settings=settings
    ) as client:
        assert client.get(SCOPE, "kept").content == 1


def test_a_wrong_key_is_told_and_not_shown(site: Site) -> None:
    base = site()
    if site.url is None:
        inner = base._client if isinstance(base, Awaited) else base
        client = type(inner)("http://tenure.localhost", "tnr_wrong", transport=inner._http._transport)
        client = Awaited(client, base._loop) if isinstance(base, Awaited) else client
    else:
        client = Client(site.url, "tnr_wrong")
    with pytest.raises(Unauthenticated) as refused:
        client.call("GET", "/v1/ledger/key")
    assert "tnr_wrong" not in f"{refused.value!r} {client!r}"
    if isinstance(client, Client) and site.url is not None:
        client.close()


# ── the public surface ─────────────────────────────────────────────────────────────────────────────
SURFACE = Path(__file__).with_name("surface.txt")


def surface() -> Iterator[str]:
    """Names, parameters, and what is returned: as they are written, whatever Python says of types."""
    for name in sorted(tenure.client.__all__):
        found = getattr(tenure.client, name)
        yield f"{name}{_parameters(found)}"
        for member in sorted(dir(found)) if inspect.isclass(found) else ():
            if not member.startswith("_"):
                yield f"    {member}{_parameters(inspect.getattr_static(found, member))}"


def _parameters(found: Any) -> str:
    work = found.steps if isinstance(found, Operation) else found
    if not callable(work):
        return ""
    kinds = inspect.Parameter
    shown, keywords = [], False
    for one in inspect.signature(work).parameters.values():
        if one.kind is kinds.KEYWORD_ONLY and not keywords:
            keywords = True
            shown.append("*")
        stars = {kinds.VAR_POSITIONAL: "*", kinds.VAR_KEYWORD: "**"}.get(one.kind, "")
        shown.append(f"{stars}{one.name}{'' if one.default is one.empty else '=…'}")
    result = f" -> {get_args(get_type_hints(work)['return'])[2].__name__}" if work is not found else ""
    return f"({', '.join(shown)}){result}"


def test_the_public_surface_is_pinned() -> None:
    """`TENURE_REWRITE_GOLDEN=1` writes it: what is taken away or renamed breaks those who import it."""
    text = "\n".join(surface()) + "\n"
    if os.environ.get("TENURE_REWRITE_GOLDEN"):
        SURFACE.write_text(text)
    assert SURFACE.read_text() == text
    mine = {name for name in dir(Client) if not name.startswith("_")}
    theirs = {name for name in dir(AsyncClient) if not name.startswith("_")}
    assert mine ^ theirs == {"close", "aclose"}, "the same calls"
